from __future__ import annotations

import os
from pathlib import Path

from guard.server.watch import Watch


def test_a_change_is_told_when_it_has_settled(tmp_path: Path) -> None:
    """A file that changes between two looks is still being written: it is told once it looked the same twice."""
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\n")
    watch = Watch(tmp_path)
    assert not watch.changed()
    with file.open("a") as half:
        half.write("name: p\n")
        half.flush()
        assert not watch.changed()
        half.write("rules: []\n")
        half.flush()
        assert not watch.changed()
    assert watch.changed()
    watch.take()
    assert not watch.changed()


def test_what_is_as_it_was_is_not_told(tmp_path: Path) -> None:
    """A file that is added and removed again between two looks is no change."""
    watch = Watch(tmp_path)
    added = tmp_path / "b.yaml"
    added.write_text("x")
    assert not watch.changed()
    added.unlink()
    assert not watch.changed()
    assert not watch.changed()


def test_a_swapped_symlink_is_told(tmp_path: Path) -> None:
    """A ConfigMap changes by a link that is swapped: same names, same sizes, other files."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "p.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    watch = Watch(tmp_path / "p.yaml")
    (tmp_path / "..tmp").symlink_to("two")
    os.replace(tmp_path / "..tmp", tmp_path / "..data")
    assert not watch.changed()
    assert watch.changed()


def test_a_file_that_is_followed_counts_as_changed_once(tmp_path: Path) -> None:
    """What is followed from now on was read before: it is told once, then as it changes, until it is left alone."""
    main, base = tmp_path / "p.yaml", tmp_path / "base.yaml"
    for file in (main, base):
        file.write_text("x")
    watch = Watch(main)
    watch.follow([main])
    assert (watch.changed(), watch.changed()) == (False, False)
    watch.follow([main, base])
    assert (watch.changed(), watch.changed()) == (False, True)
    watch.take()
    watch.follow([main, base])
    assert (watch.changed(), watch.changed()) == (False, False)
    base.write_text("xy")
    assert (watch.changed(), watch.changed()) == (False, True)
    watch.take()
    watch.follow([main])
    base.unlink()
    assert (watch.changed(), watch.changed()) == (False, False)


def test_a_file_may_come_and_go(tmp_path: Path) -> None:
    """What is not there, or no longer, is a state like any other."""
    file = tmp_path / "later"
    watch = Watch(file)
    file.write_text("x")
    assert (watch.changed(), watch.changed()) == (False, True)
    watch.take()
    file.unlink()
    assert (watch.changed(), watch.changed()) == (False, True)
