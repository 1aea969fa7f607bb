"""``--report`` of the policy commands: where the page goes, and what is refused before any work is done."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.policy.build import file_of, record_of

_POLICY = """\
version: 1
name: shop
rules:
  - {id: hate, category: hate, threshold: 0.5, action: block}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy and records, which two languages judge differently."""
    (tmp_path / "shop.yaml").write_text(_POLICY)
    rows = [
        record_of(f"{lang}{i}", {"hate": i / high}, lang=lang, label="noncompliant" if i > 20 else "compliant",
                  categories=("hate",) if i > 20 else ())
        for lang, high in (("en", 30), ("zh", 60))
        for i in range(30)
    ]  # fmt: skip
    file_of(tmp_path / "judged.jsonl", *rows)
    return tmp_path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _data(page: Path) -> dict[str, Any]:
    """What the page shows."""
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def _evaluate(command: Command, folder: Path, report: Path | str, records: str = "judged.jsonl") -> list[str]:
    """The errors of an eval that is refused."""
    outcome = command("policy", "eval", folder / "shop.yaml", "--records", folder / records, "--report", report)
    assert (outcome.code, outcome.out) == (2, "")
    return outcome.errors


def test_without_the_extra(command: Command, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cure is named before anything is read."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert _evaluate(command, folder, out / "out.html", "none.jsonl") == [
        "guard: --report: needs the extra 'report', which is not installed (pip install 'guard-sidecar[report]')"
    ]


def test_only_a_report_is_replaced(command: Command, folder: Path, out: Path) -> None:
    """A second run replaces the page of the first; any other file stays as it is."""
    mine, page = out / "mine.yaml", out / "out.html"
    mine.write_text(_POLICY)
    assert _evaluate(command, folder, mine)[0].endswith(
        "is there, and no report of guard (give another path, or remove the file)"
    )
    assert mine.read_text() == _POLICY
    for _ in range(2):
        arguments = ("--records", folder / "judged.jsonl", "--report", page, "--format", "json")
        outcome = command("policy", "eval", folder / "shop.yaml", *arguments)
        assert outcome.code == 0 and len(outcome.json()) == 1
        assert re.fullmatch(rf"guard: wrote {page} \(\d\.\d MB\)", outcome.errors[-1])
    assert sorted(path.name for path in out.iterdir()) == ["mine.yaml", "out.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert page.stat().st_mode & 0o777 == 0o666 & ~mask


def test_places_that_cannot_be_written(command: Command, folder: Path, out: Path) -> None:
    """A folder, standard output, a folder that is not there or takes no files are refused before any work."""
    assert "is not a file (give the path of a file)" in _evaluate(command, folder, out, "none.jsonl")[0]
    assert "a page takes a file" in _evaluate(command, folder, "-", "none.jsonl")[0]
    missing = out / "none"
    assert _evaluate(command, folder, missing / "out.html", "none.jsonl") == [
        f"guard: --report: no folder '{missing}' (make it: mkdir -p {missing})"
    ]
    assert "nothing can be written to '/proc'" in _evaluate(command, folder, "/proc/out.html", "none.jsonl")[0]


def test_records_from_a_pipe(command: Command, folder: Path, out: Path) -> None:
    """A report reads its records twice, which a pipe does not allow."""
    os.mkfifo(out / "pipe")
    outcome = command(*("policy", "replay", folder / "shop.yaml", "--log", out / "pipe", "--report", out / "out.html"))
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert "cannot be read twice, as --report does (give a file)" in outcome.err


def test_by_language_and_a_goal_not_met(command: Command, folder: Path, out: Path) -> None:
    """The page is written also where the goal cannot be met, with a proposed threshold for each language."""
    page, goal = out / "out.html", ("--max-fpr", "0", "--by", "language", "--min-records", "5")
    sure = [record_of(f"sure{i}", {"hate": 1.0}, label="compliant") for i in range(9)]
    path = file_of(out / "more.jsonl", (folder / "judged.jsonl").read_text(), *sure)
    outcome = command("policy", "tune", folder / "shop.yaml", "--records", path, *goal, "--report", page)
    assert (outcome.code, outcome.errors[-1].startswith(f"guard: wrote {page} (")) == (1, True)
    names = {mark["name"] for rule in _data(page)["rules"] for mark in rule["marks"]}
    assert names == {"current", "proposed en", "proposed zh"}


def test_two_models(command: Command, folder: Path, out: Path) -> None:
    """Diff's page shows the new model's scores, and says so."""
    lines = (folder / "judged.jsonl").read_text()
    (folder / "new.jsonl").write_text(lines.replace("m@0123456789ab", "n@0123456789ab"))
    page = out / "out.html"
    arguments = ("--old", folder / "judged.jsonl", "--new", folder / "new.jsonl", "--report", page)
    assert command("policy", "diff", folder / "shop.yaml", *arguments).code == 0
    data = _data(page)
    assert data["facts"][-1]["value"].endswith("on the scores of n@0123456789ab")
    assert [rule["marks"] for rule in data["rules"]] == [[{"name": "current", "threshold": 0.5}]]
