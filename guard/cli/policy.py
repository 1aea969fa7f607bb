"""``guard policy``: the tools around a policy file."""

from __future__ import annotations

from typing import Annotated

import typer

from guard.cli.connect import connect
from guard.cli.options import ModelOption
from guard.cli.output import need_command, write_line
from guard.cli.policy_diff import diff
from guard.cli.policy_eval import evaluate
from guard.cli.policy_replay import replay
from guard.cli.policy_tune import tune

policy = typer.Typer(
    help="Test, measure, tune and compare policies.", invoke_without_command=True, rich_markup_mode=None
)


@policy.callback()
def _group(context: typer.Context) -> None:
    """Test, measure, tune and compare policies."""
    need_command(context)


policy.command()(diff)
policy.command("eval")(evaluate)
policy.command()(tune)
policy.command()(replay)


@policy.command("test")
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
) -> None:
    """Run the cases that stand beside a policy.

    Texts go through the whole path, scores through the rules alone.

    Exit codes: 0 every case passed, 1 a case failed, 2 a file has mistakes.
    """
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
    if report.failed:
        raise typer.Exit(1)
