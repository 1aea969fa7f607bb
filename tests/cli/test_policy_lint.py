"""``guard policy lint`` from the command line: formats and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

_SOUND = "version: 1\nname: sound\nrules:\n  - {id: a, category: hate, threshold: 0.5, action: block}\n"
_ODD = _SOUND.replace("name: sound", "name: odd").replace("0.5", "1")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A policy with a rule that never fires."""
    path = tmp_path / "odd, really.yaml"
    path.write_text(_ODD)
    return path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A policy with two mistakes."""
    path = tmp_path / "broken.yaml"
    path.write_text(_SOUND.replace("hate", "haet").replace("0.5", "5"))
    return path


def test_nothing_found(command: Command, tmp_path: Path, tiny_model_dir: Path) -> None:
    """Exit code 0, with and without a model."""
    path = tmp_path / "sound.yaml"
    path.write_text(_SOUND)
    for more in (["--no-model"], ["--model", str(tiny_model_dir)]):
        outcome = command("policy", "lint", path, *more)
        assert (outcome.code, outcome.out, outcome.err) == (0, "1 policy, 0 mistakes, 0 findings\n", "")


def test_for_people(command: Command, odd: Path, broken: Path) -> None:
    """Findings are exit code 1, mistakes 2; every policy is looked at."""
    one = command("policy", "lint", odd, "--no-model")
    assert one.code == 1
    assert one.out.splitlines() == [
        f"{odd}:4:40: warning: a never fires: no score is ever 1 (write a threshold below 1) [never-fires]",
        "1 policy, 0 mistakes, 1 finding",
    ]
    both = command("policy", "lint", odd, broken, "--no-model")
    assert both.code == 2
    assert both.out.splitlines()[-1] == "2 policies, 2 mistakes, 1 finding"
    assert f"{broken}:4:23: error: unknown category haet (did you mean hate?) [mistake]" in both.out
    assert command("policy", "lint", odd, "--no-model", "--ignore", "never-fires").code == 0


def test_a_directory(command: Command, odd: Path, broken: Path) -> None:
    """All of its policies, and none of their tests."""
    odd.with_name("odd_test.yaml").write_text("cases: 1\n")
    outcome = command("policy", "lint", odd.parent, "--no-model")
    assert outcome.out.splitlines()[-1] == "2 policies, 2 mistakes, 1 finding"


def test_for_programs(command: Command, odd: Path) -> None:
    """One line with every finding and its place."""
    (found,) = command("policy", "lint", odd, "--no-model", "--format", "json").json()
    assert (found["policies"], found["mistakes"], found["findings"]) == (1, 0, 1)
    assert {name: found["found"][0][name] for name in ("code", "level", "file", "line", "column")} == {
        "code": "never-fires", "level": "warning", "file": str(odd), "line": 4, "column": 40,
    }  # fmt: skip


def test_for_github(command: Command, odd: Path, broken: Path) -> None:
    """A workflow command a finding, with what separates its parts escaped, and nothing else."""
    outcome = command("policy", "lint", odd, broken, "--no-model", "--format", "github")
    first, second, _ = outcome.out.splitlines()
    assert first.startswith(f"::warning file={str(odd).replace(',', '%2C')},line=4,col=40,title=never-fires::a never")
    assert second.startswith(f"::error file={broken},line=4,col=23,title=mistake::unknown category haet (")


def test_beside_a_model(command: Command, tmp_path: Path, tiny_model_dir: Path) -> None:
    """What the model does not support, and words that the policy would stop."""
    path = tmp_path / "p.yaml"
    path.write_text(
        _SOUND + "  - {id: m, category: sexual_minors, threshold: 0.5, action: block}\n"
        "  - {id: w, category: weapons, threshold: 0.5, action: block}\nmessage: {en: A bomb is no toy.}\n"
    )
    outcome = command("policy", "lint", path, "--model", tiny_model_dir, "--format", "json")
    assert outcome.code == 1
    assert [f["code"] for f in json.loads(outcome.out)["found"]] == ["unsupported-category", "own-message"]


def test_usage(command: Command, odd: Path, tmp_path: Path) -> None:
    """Unknown checks, files and empty directories are refused with what to do."""
    unknown = command("policy", "lint", odd, "--ignore", "nevr")
    assert unknown.code == 2 and "there is no check 'nevr' (one of never-fires, " in unknown.err
    assert command("policy", "lint", tmp_path / "none.yaml", "--no-model").code == 2
    (tmp_path / "empty").mkdir()
    empty = command("policy", "lint", tmp_path / "empty", "--no-model")
    assert empty.code == 2 and "no policy in" in empty.err
