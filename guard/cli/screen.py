"""``guard screen``: one text, or a file of rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from guard.cli.connect import Connection, Shown, connect
from guard.cli.input_row import parse_context
from guard.cli.options import (
    CaOption,
    CertOption,
    DirectionOption,
    Format,
    FormatOption,
    InsecureTokenOption,
    KeyOption,
    ModelOption,
    PolicyOption,
    ServerOption,
    TlsOption,
    TokenFileOption,
)
from guard.cli.output import complain, decision_view, show, write_line
from guard.content import make_content
from guard.errors import InvalidInput, Violation
from guard.records import Record
from guard.types import Content, Direction

_STANDARD_INPUT = "-"
#: A window of long texts may wait behind others; nobody is waiting for the answer.
_WINDOW_SECONDS = 600.0


def screen(
    command: typer.Context,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text, or - to read standard input.")] = None,
    direction: DirectionOption = Direction.PROMPT,
    context: Annotated[
        str | None,
        typer.Option(help="What came before: one user turn, or a JSON list of {role, text} or {role, content}."),
    ] = None,
    policy: PolicyOption = None,
    model: ModelOption = None,
    server: ServerOption = None,
    tls: TlsOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    allow_insecure_token: InsecureTokenOption = None,
    format_: FormatOption = Format.TABLE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 if a text is not allowed.")] = False,
    input_: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Screen a file of rows: .jsonl, .csv or .parquet; - is JSONL."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where the records go, as JSONL; - (the default) is stdout."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Which column holds a field, such as side=direction."),
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Records without texts, with their hashes only.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Requests at once with --input.", show_default="one a core")
    ] = None,
) -> None:
    """Screen a text, or a file of rows.

    A row has a text and, if wanted, direction, context, id, label (compliant, noncompliant or ambiguous),
    categories, about and tags; other columns are kept in the record's extra. A direction may also be called
    response (output) or content (prompt), and a turn of a context may have content for text. Rows without an id
    are named by their line. Records come out in the order of the rows; a second run over the same output goes on
    where the first one ended.

    A row that cannot be screened is named on standard error as FILE:LINE: FIELD: reason (cure); the others
    are written.

    In a record output_text is null where the text itself may be passed on; with --format json it is never left out.
    Where message is true it is the policy's message: show it, and do not send it to a model.

    Exit codes: 0 fine, 1 a text is not allowed (with --exit-code), 2 bad usage or input, 3 unavailable.
    """
    if command.args:
        # Not shown: they are words of the text.
        raise InvalidInput.of("TEXT", "more than one argument", "quote the text")
    shown = Shown(tls, ca, cert, key, token_file, allow_insecure_token)
    if input_ is None:
        _check_single(text, output, map_, jobs)
        content = content_of(text or "", direction, context, policy if server is not None else None)
        with connect(model, policy, server, shown) as connection:
            _screen_text(connection, content, format_, keep_text=not no_text, exit_code=exit_code)
        return
    _check_file(text, context, format_)
    from guard.cli.bulk import BulkOptions, screen_file
    from guard.server.settings import usable_cores

    with connect(model, policy, server, shown, timeout=_WINDOW_SECONDS) as connection:
        options = BulkOptions(
            input=input_,
            output=output or Path("-"),
            columns=map_ or (),
            direction=direction,
            policy=connection.policy,
            keep_text=not no_text,
            jobs=jobs or usable_cores(),
        )
        counts = screen_file(connection.guard, options)
    if sys.stderr.isatty():
        complain(str(counts))
    if counts.bad:
        raise typer.Exit(2)
    if exit_code and counts.not_allowed:
        raise typer.Exit(1)


def _check_single(text: str | None, output: Path | None, map_: list[str] | None, jobs: int | None) -> None:
    found: list[Violation] = []
    if text is None:
        found.append(Violation("TEXT", "missing", "give a text, - for standard input, or --input FILE"))
    for option, value in (("--output", output), ("--map", map_), ("--jobs", jobs)):
        if value:
            found.append(Violation(option, "goes with --input", f"leave out {option}, or give --input FILE"))
    if found:
        raise InvalidInput(found)


def _check_file(text: str | None, context: str | None, format_: Format) -> None:
    found: list[Violation] = []
    if text is not None:
        found.append(Violation("TEXT", "given beside --input", "leave out one of them"))
    if context is not None:
        found.append(Violation("--context", "given beside --input", "give every row its own context"))
    if format_ is not Format.TABLE:
        found.append(Violation("--format", "given beside --input", "leave it out: records are JSON"))
    if found:
        raise InvalidInput(found)


def content_of(
    text: str,
    direction: Direction,
    context: str | None,
    policy: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Content:
    """What the options of a command say.

    Args:
        text: TEXT; ``-`` for standard input.
        direction: ``--direction``.
        context: ``--context``.
        policy: Name of a policy that the guard has.
        tags: The content's tags.

    Raises:
        InvalidInput: They break the contract, or standard input is no UTF-8.
    """
    if text == _STANDARD_INPUT:
        try:
            # One line end belongs to the pipe (`echo`), not to the text.
            text = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise InvalidInput.of("text", f"invalid UTF-8 at byte {error.start}", "send UTF-8") from None
    turns = None if context is None else parse_context(context)
    return make_content(text, direction, turns, policy, tags)  # type: ignore[arg-type]  # it checks what it is given


def _screen_text(
    connection: Connection, content: Content, format_: Format, *, keep_text: bool, exit_code: bool
) -> None:
    decision = connection.screen(content)
    if format_ is Format.JSON:
        record = Record.of(content, decision, id="1", keep_text=keep_text)
        # A script passes it on as it stands; in a file of records null stands for the text, which is beside it.
        write_line(replace(record, output_text=decision.output_text if keep_text else None).to_json())
    else:
        show(decision_view(content, decision))
    if exit_code and not decision.allowed:
        raise typer.Exit(1)
