"""Options that several commands share, so that they are named, explained and checked once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How an answer is shown."""

    TABLE = "table"
    JSON = "json"


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
FormatOption = Annotated[Format, typer.Option("--format", help="A table for people or JSON for programs.")]
