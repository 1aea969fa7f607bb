"""Options that several commands share, so that they are named, explained and checked once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from guard.content import read_direction
from guard.types import Direction


class Format(StrEnum):
    """How an answer is shown."""

    TABLE = "table"
    JSON = "json"


def _direction(word: str) -> Direction:
    return read_direction(word, "--direction")


DirectionOption = Annotated[
    Direction,
    typer.Option(
        "--direction", parser=_direction, metavar="prompt|output", help="Towards the model, or from it (or response)."
    ),
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="DIR", help="An artifact directory instead of the bundled model.")
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="FILE|NAME",
        help="A policy file or the name of one that ships; with --server the name of one that the server has.",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="ADDR", help="Ask a running sidecar (HOST:PORT or unix:PATH) instead of loading a model."
    ),
]
TlsOption = Annotated[
    bool | None, typer.Option("--tls", help="Encrypt the connection to --server.  [GUARD_CLIENT_TLS]")
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="Authorities of --server in PEM; implies --tls.  [GUARD_CLIENT_CA]"),
]
CertOption = Annotated[
    Path | None,
    typer.Option("--cert", metavar="FILE", help="Certificate to show --server, in PEM.  [GUARD_CLIENT_CERT]"),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Its private key in PEM.  [GUARD_CLIENT_KEY]")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Token for --server; or the variable GUARD_CLIENT_TOKEN.  [GUARD_CLIENT_TOKEN_FILE]",
    ),
]
InsecureTokenOption = Annotated[
    bool | None,
    typer.Option(
        "--allow-insecure-token",
        help="Send the token without TLS to another machine.  [GUARD_CLIENT_ALLOW_INSECURE_TOKEN]",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="A table for people or JSON for programs.")]
