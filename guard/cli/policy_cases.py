"""``guard policy test``: the cases beside a policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.connect import connect
from guard.cli.options import ModelOption
from guard.cli.output import write_line
from guard.errors import InvalidInput

if TYPE_CHECKING:
    from guard.policy.cases import Report


def run_tests(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="A policy with its cases beside it in *_test.yaml, or those cases; or the name of one that ships.",
        ),
    ],
    model: ModelOption = None,
    scores_only: Annotated[
        bool, typer.Option("--scores-only", help="Skip the cases with a text, which need the model.")
    ] = False,
    min_coverage: Annotated[
        float | None,
        typer.Option("--min-coverage", metavar="SHARE", help="Fail if a smaller share of the rules fires in a case."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML, too.")
    ] = None,
) -> None:
    """Run the cases that stand beside a policy.

    Texts go through the whole path, scores through the rules alone. A rule is covered if it fires in a case that
    passed, in shadow or not.

    Exit codes: 0 every case passed, 1 a case failed or too few rules are covered, 2 a file has mistakes.
    """
    if min_coverage is not None and not 0 <= min_coverage <= 1:
        raise InvalidInput.of("--min-coverage", "out of range", "a share from 0 to 1, such as 0.9")
    # Imported here: the other commands start without it.
    from guard.policy.cases import cases_beside, load_cases, policy_beside, run_cases
    from guard.policy.load import load_policy, resolve_policy

    policy_file = policy_beside(resolve_policy(file))
    loaded = load_policy(policy_file)
    case_file = cases_beside(policy_file)
    cases = load_cases(case_file, loaded)
    if scores_only or all(case.text is None for case in cases):
        report = run_cases(loaded, cases, None, str(case_file))
    else:
        with connect(model, str(policy_file), None) as connection:
            report = run_cases(loaded, cases, connection.screen, str(case_file))
    for line in report.lines():
        write_line(line)
    short = min_coverage is not None and report.coverage < min_coverage
    if min_coverage is not None:
        write_line(_coverage(report, min_coverage))
    if junit is not None:
        _write_junit(junit, report, loaded.name, min_coverage)
    if report.failed or short:
        raise typer.Exit(1)


def _coverage(report: Report, least: float) -> str:
    covered = len(report.rules) - len(report.uncovered)
    line = f"{covered} of {len(report.rules)} rules covered ({report.coverage:.1%}, at least {least:.1%})"
    return f"{line}; no case fires {', '.join(report.uncovered)}" if report.uncovered else line


def _write_junit(path: Path, report: Report, policy: str, min_coverage: float | None) -> None:
    from guard.policy.junit import junit

    path.write_text(junit(report, policy, min_coverage), encoding="utf-8")
