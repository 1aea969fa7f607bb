"""``guard policy lint``: what is wrong with a policy, before it decides anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.connect import connect
from guard.cli.options import ModelOption
from guard.cli.output import printable, write_line
from guard.errors import InvalidInput

if TYPE_CHECKING:
    from guard.policy.lint import LintReport
    from guard.policy.linted import Finding, ModelFacts


class LintFormat(StrEnum):
    """How findings are shown."""

    HUMAN = "human"
    JSON = "json"
    GITHUB = "github"


def lint(
    policies: Annotated[
        list[str], typer.Argument(metavar="POLICY...", help="Policy files, directories of them, or names that ship.")
    ],
    format_: Annotated[
        LintFormat, typer.Option("--format", help="For people, for programs, or as annotations of a GitHub workflow.")
    ] = LintFormat.HUMAN,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="CODE", help="Leave a check out.")] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Leave out what needs the model.")] = False,
    model: ModelOption = None,
) -> None:
    """Find mistakes, all at once with their places, and what is legal but cannot be meant.

    Rules that never fire or never decide, thresholds out of order, directions without rules, terms that ordinary
    sentences have, categories that the model does not support, thresholds of another model, and messages that the
    policy itself would stop.

    Exit codes: 0 nothing found, 1 findings, 2 mistakes, or bad usage.
    """
    # Imported here: the other commands start without it.
    from guard.policy.lint import CHECKS, LintReport
    from guard.policy.lint import lint as look

    if unknown := sorted(set(ignore or ()) - set(CHECKS)):
        raise InvalidInput.of("--ignore", f"there is no check {unknown[0][:60]!r}", f"one of {', '.join(CHECKS)}")
    files = [file for name in policies for file in _files(name)]
    facts = None if no_model else _facts(model)
    found: list[Finding] = []
    for file in files:
        # A policy with mistakes cannot be screened with, so it is looked at without a model first.
        first = look(file, facts, None, ignore or ())
        broken = any(finding.level.value == "error" for finding in first)
        with nullcontext() if broken or facts is None else connect(model, str(file), None) as connection:
            found += first if connection is None else look(file, facts, connection.screen, ignore or ())
    report = LintReport(len(files), tuple(found))
    for line in _VIEWS[format_](report):
        write_line(line)
    if report.found:
        raise typer.Exit(2 if report.mistakes else 1)


def _files(name: str) -> list[Path]:
    from guard.policy.load import policy_files, resolve_policy

    path = resolve_policy(name)
    if not path.is_dir():
        return [path]
    files = policy_files(path)
    if not files:
        raise InvalidInput.of("POLICY", f"no policy in {path}", "give a file, or a directory with *.yaml")
    return files


def _facts(model: Path | None) -> ModelFacts | None:
    from guard.classifier.artifact import DEFAULT_MODEL_DIR, read_artifact
    from guard.policy.linted import ModelFacts

    artifact = read_artifact(model or DEFAULT_MODEL_DIR)
    return ModelFacts(artifact.identity, artifact.categories, artifact.unsupported)


def _human(report: LintReport) -> Iterator[str]:
    for f in report.found:
        yield printable(f"{f.file}:{f.line}:{f.column}: {f.level}: {f.what} ({f.cure}) [{f.code}]")
    policies = "1 policy" if report.policies == 1 else f"{report.policies} policies"
    yield f"{policies}, {_count(report.mistakes, 'mistake')}, {_count(report.findings, 'finding')}"


def _json(report: LintReport) -> Iterator[str]:
    counts = {"policies": report.policies, "mistakes": report.mistakes, "findings": report.findings}
    yield dumps({**counts, "found": [asdict(finding) for finding in report.found]}, ensure_ascii=False)


def _github(report: LintReport) -> Iterator[str]:
    """Workflow commands: github.com/actions/toolkit/blob/main/packages/core/src/command.ts says what is escaped."""
    for f in report.found:
        place = {"file": f.file, "line": f.line, "col": f.column, "title": f.code}
        properties = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in place.items())
        yield f"::{f.level} {properties}::{_escaped(printable(f'{f.what} ({f.cure})'))}"


def _escaped(text: str, more: str = "") -> str:
    out = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for char in more:
        out = out.replace(char, f"%{ord(char):02X}")
    return out


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


_VIEWS: Mapping[LintFormat, Callable[[LintReport], Iterator[str]]] = {
    LintFormat.HUMAN: _human,
    LintFormat.JSON: _json,
    LintFormat.GITHUB: _github,
}
