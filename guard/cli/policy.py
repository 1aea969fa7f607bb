"""``guard policy``: the tools around a policy file."""

from __future__ import annotations

import typer

from guard.cli.output import need_command
from guard.cli.policy_cases import run_tests
from guard.cli.policy_diff import diff
from guard.cli.policy_eval import evaluate
from guard.cli.policy_explain import explain
from guard.cli.policy_label import label
from guard.cli.policy_lint import lint
from guard.cli.policy_replay import replay
from guard.cli.policy_shadow import promote, shadow_report
from guard.cli.policy_tune import tune

policy = typer.Typer(
    help="Check, test, measure, tune, compare and try out policies.", invoke_without_command=True, rich_markup_mode=None
)


@policy.callback()
def _group(context: typer.Context) -> None:
    """Check, test, measure, tune, compare and try out policies."""
    need_command(context)


policy.command()(lint)
policy.command("test")(run_tests)
policy.command()(diff)
policy.command("eval")(evaluate)
policy.command()(tune)
policy.command()(replay)
policy.command()(explain)
policy.command()(label)
policy.command("shadow-report")(shadow_report)
policy.command()(promote)
