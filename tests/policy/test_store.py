"""The policies that a guard decides with."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import InvalidInput, PolicyError
from guard.policy.store import PolicyStore


def _write(directory: Path, file: str, name: str, category: str = "hate") -> Path:
    path = directory / file
    rule = f"{{id: a, category: {category}, threshold: 0.5, action: block}}"
    path.write_text(f"# a policy\nversion: 1\nname: {name}\nrules: [{rule}]\n")
    return path


def _names(store: PolicyStore) -> list[str]:
    return [info.name for info in store.infos()]


def test_without_a_path_the_shipped_default_is_loaded() -> None:
    """Nothing needs to be configured for a policy to decide."""
    store = PolicyStore.load()
    assert _names(store) == ["default"]
    assert store.get("").name == store.get("default").name == store.default.name == "default"


def test_a_file_is_a_store_of_one(tmp_path: Path) -> None:
    """A single policy is the default whatever its name."""
    store = PolicyStore.load(_write(tmp_path, "mine.yaml", "mine"))
    assert store.get("") is store.get("mine")
    assert [info.default for info in store.infos()] == [True]


def test_a_directory_holds_policies_by_their_names(tmp_path: Path) -> None:
    """Every policy file of a directory is loaded, its tests are not; names come from the files' contents."""
    _write(tmp_path, "1.yaml", "zeta")
    _write(tmp_path, "2.yml", "alpha")
    (tmp_path / "1_test.yaml").write_text("cases: nonsense")
    (tmp_path / "README.md").write_text("hello")
    store = PolicyStore.load(tmp_path)
    assert _names(store) == ["alpha", "zeta"]
    assert store.get("zeta").path == str(tmp_path / "1.yaml")


def test_the_default_is_the_one_of_that_name_else_the_first(tmp_path: Path) -> None:
    """``default`` decides where no policy is asked for; without it the first by name does."""
    _write(tmp_path, "1.yaml", "zeta")
    _write(tmp_path, "2.yaml", "beta")
    assert PolicyStore.load(tmp_path).get("").name == "beta"
    _write(tmp_path, "3.yaml", "default")
    store = PolicyStore.load(tmp_path)
    assert store.get("").name == "default"
    assert [(info.name, info.default) for info in store.infos()] == [
        ("beta", False), ("default", True), ("zeta", False)
    ]  # fmt: skip


def test_an_unknown_policy_is_invalid_input_with_the_known_names(tmp_path: Path) -> None:
    """Asking for a policy that is not loaded names the field, those that are, and the closest one."""
    _write(tmp_path, "1.yaml", "strict")
    _write(tmp_path, "2.yaml", "default")
    with pytest.raises(InvalidInput) as caught:
        PolicyStore.load(tmp_path).get("strickt")
    assert str(caught.value) == ("policy: no policy named 'strickt'; loaded: default, strict (did you mean strict?)")


def test_all_mistakes_of_all_files_come_together(tmp_path: Path) -> None:
    """A directory with several broken policies is refused once, with every problem of each."""
    first = _write(tmp_path, "1.yaml", "a", category="hat")
    _write(tmp_path, "2.yaml", "b")
    third = _write(tmp_path, "3.yaml", "c d", category="violance")
    with pytest.raises(PolicyError) as caught:
        PolicyStore.load(tmp_path)
    assert [(p.file, p.line) for p in caught.value.problems] == [(str(first), 4), (str(third), 3), (str(third), 4)]


def test_two_policies_of_one_name_are_refused_at_the_second(tmp_path: Path) -> None:
    """A name stands for one policy."""
    _write(tmp_path, "1.yaml", "same")
    second = _write(tmp_path, "2.yaml", "same")
    with pytest.raises(PolicyError) as caught:
        PolicyStore.load(tmp_path)
    assert str(caught.value).startswith(f"{second}:3:7: the name same is taken by {tmp_path / '1.yaml'}")


def test_a_directory_without_policies_is_refused(tmp_path: Path) -> None:
    """An empty directory would be a guard without a policy."""
    with pytest.raises(PolicyError, match="no policy in it"):
        PolicyStore.load(tmp_path)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is refused with its name."""
    with pytest.raises(PolicyError, match="gone:1:1: cannot be read: No such file"):
        PolicyStore.load(tmp_path / "gone")


def test_mounted_links_are_followed_and_their_shadow_copies_are_not(tmp_path: Path) -> None:
    """A mounted configuration (links into a hidden directory) holds each policy once."""
    hidden = tmp_path / "..data"
    hidden.mkdir()
    _write(hidden, "1.yaml", "mounted")
    (tmp_path / "1.yaml").symlink_to(hidden / "1.yaml")
    assert _names(PolicyStore.load(tmp_path)) == ["mounted"]


def test_every_policy_of_another_model_has_a_line(tmp_path: Path) -> None:
    """A directory is warned of policy by policy; those that name the model, or none, are left out."""
    for name, model in (("a", "old@000000000000"), ("b", "new"), ("c", "older")):
        file = _write(tmp_path, f"{name}.yaml", name)
        file.write_text(f"calibrated_for: {model}\n" + file.read_text())
    _write(tmp_path, "d.yaml", "d")
    first, second = PolicyStore.load(tmp_path).mismatches("new@0123456789ab")
    assert first.startswith("policy a@") and second.startswith("policy c@")


def test_a_store_needs_policies_of_different_names(tmp_path: Path) -> None:
    """A store is never empty and never ambiguous."""
    policy = PolicyStore.load(_write(tmp_path, "1.yaml", "same")).default
    with pytest.raises(ValueError, match="at least one"):
        PolicyStore([])
    with pytest.raises(ValueError, match="unique"):
        PolicyStore([policy, policy])
