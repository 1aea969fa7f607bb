"""The command ``guard``: its commands, and what an error becomes at its end.

Exit codes everywhere: 0 fine, 1 a finding or an unmet condition, 2 bad usage or input, 3 unavailable.
An error is a plain line on standard error, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from guard.cli.demo import demo
from guard.cli.info import info
from guard.cli.output import complain, error_lines, need_command, printable, say, write_line
from guard.cli.policy import policy
from guard.cli.screen import screen
from guard.cli.serve import serve
from guard.errors import ArtifactError, GuardError, InvalidInput, PolicyError, Unauthenticated, place_of
from guard.version import __version__

_BAD_INPUT = 2
_UNAVAILABLE = 3
_INTERRUPTED = 130
#: Errors that the caller can mend; all others are a guard that is not to be had.
_INPUT_ERRORS = (InvalidInput, PolicyError, ArtifactError, Unauthenticated)

app = typer.Typer(
    name="guard",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve)
app.command(context_settings={"allow_extra_args": True})(screen)  # which answers them with a cure of its own
app.command()(info)
app.command()(demo)
app.add_typer(policy, name="policy")


def _print_version(wanted: bool) -> None:
    if wanted:
        write_line(f"guard {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Content compliance beside an LLM service: screens prompts and outputs, decides by policy."""
    need_command(context)


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: What follows ``guard``.

    Returns:
        The exit code.
    """
    try:
        code = typer.main.get_command(app).main(args=list(arguments), prog_name="guard", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        say(f"{error.format_message()} (see {context.command_path if context else 'guard'} --help)")
        return _BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except GuardError as error:
        for line in error_lines(error):
            complain(printable(line))
        return _BAD_INPUT if isinstance(error, _INPUT_ERRORS) else _UNAVAILABLE
    except SystemExit:
        # How typer ends where whoever reads the records has gone; its own code would say "a finding".
        with suppress(OSError):  # standard error may be the same pipe
            say("the reader of the output left before its end (keep it reading, or write to a file)")
        return _UNAVAILABLE
    except OSError as error:
        say(f"{error.filename or 'output'}: {error.strerror or 'failed'} (check the path and its permissions)")
        return _BAD_INPUT
    except Exception as error:  # a defect: its message may quote the text, and Python's own exit code is a finding's
        say(f"a defect of guard: {place_of(error)} (please report it)")
        return _UNAVAILABLE
    if code == _INTERRUPTED:
        say("interrupted")
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line of this process and exit."""
    # gRPC's library in C writes lines of its own to standard error, of every failed handshake one. What concerns a
    # caller is in the errors; who looks for more sets the variable.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(run(sys.argv[1:]))
