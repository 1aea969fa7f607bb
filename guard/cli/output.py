"""What the command line shows: plain lines for errors, tables for people, JSON for programs.

Screened text is untrusted: it is never read as markup, and control characters that could drive a terminal
are shown as escapes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from json import dumps

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from guard.errors import GuardError, InvalidInput, PolicyError
from guard.types import ALLOW_PREFIX, Action, Content, Decision, Info

_STYLES = {Action.ALLOW: "green", Action.REWRITE: "yellow", Action.BLOCK: "red"}
# A pipe has no width of its own; the tables here fit into this one.
_PIPE_WIDTH = 120
_BAR_CELLS = 20
_COLUMN_GAP = 2
_LEAST_WIDTH = 12


def complain(line: str) -> None:
    """One plain line on standard error."""
    sys.stderr.write(f"{line}\n")


def say(line: str) -> None:
    """A remark of guard's own on standard error."""
    complain(f"guard: {line}")


def error_lines(error: GuardError) -> list[str]:
    """An error as plain lines: one a violation, and a policy's problems as ``file:line:column: what (cure)``."""
    if isinstance(error, PolicyError):
        return [str(problem) for problem in error.problems]
    if isinstance(error, InvalidInput):
        return [f"guard: {violation}" for violation in error.violations]
    return [f"guard: {line}" for line in str(error).splitlines() or [type(error).__name__]]


def need_command(context: typer.Context) -> None:
    """End a call of a command group that names none of its commands: with its help, as bad usage."""
    if context.invoked_subcommand is None:
        complain(context.get_help())
        raise typer.Exit(2)


def write_line(line: str) -> None:
    """One line on standard output in UTF-8, whatever the locale says; for nobody if its reader has left.

    A reader such as ``head`` has what it wants: nothing has failed, and the command ends as it would have.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(line.encode() + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # What is still buffered goes there, too: Python flushes at its end and would exit 120.
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def show(view: RenderableType) -> None:
    """A view on standard output: as wide as the terminal, or fixed in a pipe."""
    console = _console()
    if console.is_terminal:
        console.print(view)
        return
    with console.capture() as captured:
        console.print(view)
    for line in captured.get().splitlines():
        # Tables fill their columns with spaces, which only disturb whoever compares or pastes.
        write_line(line.rstrip())


def printable(text: str) -> str:
    """A text on one line, with what is not printable as escapes."""
    return "".join(c if c.isprintable() else " " if c in "\n\r\t" else ascii(c)[1:-1] for c in text)


def shortened(text: str, cells: int) -> str:
    """A printable text in at most ``cells`` terminal cells; Chinese characters take two."""
    line = printable(text[: cells * 4])
    if cell_len(line) <= cells and len(text) <= cells * 4:
        return line
    return set_cell_size(line, cells - 1).rstrip() + "…"


def styled(action: Action) -> Text:
    """An action in its colour."""
    return Text(action.value, style=_STYLES[action])


def decision_view(content: Content, decision: Decision) -> RenderableType:
    """A decision for people: action, what may be passed on, the rules that fired, every score."""
    head = _pairs()
    head.add_row("action", styled(decision.action))
    if decision.output_text != content.text:
        head.add_row("message" if decision.message else "output", Text(printable(decision.output_text)))
    if decision.degraded:
        head.add_row("degraded", Text("the text could not be scored; the policy's on_error decided", style="red"))
    for rule in decision.rules:
        shadow = ", shadow" if rule.shadow else ""
        evidence = f"{rule.id}: {rule.category} {rule.score:.3f} >= {rule.threshold:.3f} -> {rule.action.value}{shadow}"
        head.add_row("rule", Text(evidence))
    for found in decision.detections:
        place = f"{found.category} at [{found.span.start}, {found.span.end}) {found.score:.3f} by {found.source}"
        head.add_row("found", Text(place))
    if decision.transforms:
        head.add_row("undone", Text(f"{', '.join(decision.transforms)}: as it stands, the text is decided otherwise"))
    for done in decision.rewrites:
        place = f"{done.category} at [{done.span.start}, {done.span.end}) by {done.operator.value}"
        head.add_row("rewrote", Text(place))
    head.add_row("policy", Text(decision.policy))
    head.add_row("model", Text(decision.model))
    tokens, chunks = decision.tokens, decision.chunks
    size = f"{decision.language}, {tokens} token{'s' * (tokens != 1)} in {chunks} chunk{'s' * (chunks != 1)}"
    head.add_row("text", Text(f"{content.direction.value}, {size}, {milliseconds(decision)} ms"))
    return Group(head, _scores(decision.scores))


def milliseconds(decision: Decision) -> str:
    """The time a decision took, in milliseconds with one decimal."""
    return f"{decision.timings.total / 1000:.1f}"


def top_score(scores: Mapping[str, float]) -> tuple[str, float]:
    """The category with the highest score and that score; ``-`` and 0 without scores."""
    found = (item for item in scores.items() if not item[0].startswith(ALLOW_PREFIX))
    return max(found, key=lambda item: item[1], default=("-", 0.0))


def info_view(info: Info) -> RenderableType:
    """What is loaded, for people."""
    head = _pairs()
    head.add_row("guard", info.version)
    head.add_row("model", Text(f"{info.model.name}@{info.model.revision}"))
    head.add_row("normaliser", info.model.normalizer_version)
    head.add_row("categories", Text(", ".join(info.model.categories)))
    head.add_row("unsupported", Text(", ".join(info.model.unsupported) or "none"))
    limits = info.limits
    head.add_row("limits", f"{limits.max_tokens} tokens a text, {limits.chunk_tokens} a chunk")
    head.add_row("", f"{limits.max_batch_items} items a batch, {limits.max_message_bytes} bytes a message")
    policies = Table("policy", "mode", "rules", "description", box=None, pad_edge=False, header_style="bold")
    for policy in info.policies:
        name = f"{policy.name}@{policy.revision}{' (default)' if policy.default else ''}"
        policies.add_row(Text(name), policy.mode, str(policy.rules), Text(printable(policy.description)))
    return Group(head, "", policies)


def info_json(info: Info) -> str:
    """What is loaded, as one line of JSON with the names of the types."""
    return dumps(asdict(info), ensure_ascii=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], *, shrinks: str, right: Iterable[str]) -> Table:
    """A plain table with one line a row.

    Args:
        columns: The headings.
        rows: The cells.
        shrinks: The column that gives way on a narrow terminal.
        right: The columns that are set to the right.
    """
    widths = [max(cell_len(str(cell)) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    left = _console().width - sum(widths) - _COLUMN_GAP * len(widths)
    out = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _COLUMN_GAP, 0, 0))
    ranged = frozenset(right)
    for column, width in zip(columns, widths, strict=True):
        justify: JustifyMethod = "right" if column in ranged else "left"
        if column == shrinks:
            width = max(_LEAST_WIDTH, width + min(left, 0))
        out.add_column(column, justify=justify, no_wrap=True, width=width)
    for row in rows:
        out.add_row(*row)
    return out


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    return console


def _pairs() -> Table:
    out = Table.grid(padding=(0, 2))
    out.add_column(style="bold")
    out.add_column(overflow="fold")
    return out


def _scores(scores: Mapping[str, float]) -> RenderableType:
    out = Table.grid(padding=(0, 2))
    for category, score in sorted(scores.items(), key=lambda item: -item[1]):
        out.add_row(Text(category), f"{score:.3f}", Text("▬" * round(score * _BAR_CELLS)))
    return Group("", out) if scores else Text("")
