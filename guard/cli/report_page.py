"""The report as one HTML page that opens offline: numbers, plots and programs in a single file.

Everything that comes from records travels as JSON and is set as text by the page. The page says itself which programs
it runs, by their hashes, and that it loads nothing: a text that were markup after all would still not run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib
import json
import os
import re
import tempfile
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.output import say
from guard.errors import InvalidInput

if TYPE_CHECKING:
    from guard.policy.report import Report

ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="Also write an HTML page with curves and a slider; it opens offline."
    ),
]

_PARTS = files("guard.cli") / "report"
_SCRIPTS = ("tables.js", "curves.js", "plots.js", "page.js")
#: How a page of this command begins.
_OURS = b"<!doctype html>\n<!-- guard policy report -->\n"


def check_report(path: Path | None, source: Path) -> None:
    """Refuse what a report could not be written to, or from, before any work is done.

    Args:
        path: Where the page goes; None for no page.
        source: The records, which are read twice.

    Raises:
        InvalidInput: The extra is not installed, the path is not that of a page, or the records are a pipe.
    """
    if path is None:
        return
    _plotly()
    if source.exists() and not source.is_file():
        raise InvalidInput.of(str(source), "cannot be read twice, as --report does", "give a file")
    if str(path) == "-":
        raise InvalidInput.of("--report", "a page takes a file", "give the path of a file, such as report.html")
    if path.exists():
        if not path.is_file():
            raise InvalidInput.of("--report", f"{str(path)!r} is not a file", "give the path of a file")
        with path.open("rb") as existing:
            if existing.read(len(_OURS)) != _OURS:
                reason = f"{str(path)!r} is there, and no report of guard"
                raise InvalidInput.of("--report", reason, "give another path, or remove the file")
    if not path.parent.is_dir():
        raise InvalidInput.of("--report", f"no folder {str(path.parent)!r}", f"make it: mkdir -p {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = f"nothing can be written to {str(path.parent)!r}: {error.strerror}"
        raise InvalidInput.of("--report", reason, "give a path in another folder") from None


def write_report(path: Path, report: Report) -> None:
    """Write a report as a page, all of it or nothing; one that is there already is replaced.

    Raises:
        InvalidInput: The extra is not installed.
        OSError: The file cannot be written.
    """
    page = render(report).encode()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(page)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    say(f"wrote {path} ({len(page) / 1e6:.1f} MB)")


def render(report: Report) -> str:
    """A report as the text of a page.

    Raises:
        InvalidInput: The extra is not installed.
    """
    script = "\n".join(_part(name) for name in _SCRIPTS)
    plotly = _plotly()
    parts = {
        "title": html.escape(report.title),
        "hashes": " ".join(_hash(source) for source in (plotly, script)),
        "style": _part("page.css"),
        "data": _json(report),
        "plotly": plotly,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        # Imported by name: an extra brings it, and only here is it needed.
        offline = importlib.import_module("plotly.offline")
    except ImportError:
        cure = "pip install 'guard-sidecar[report]'"
        raise InvalidInput.of("--report", "needs the extra 'report', which is not installed", cure) from None
    source: str = offline.get_plotlyjs()
    return source


def _json(report: Report) -> str:
    """The report as JSON that cannot end the element it stands in, whatever a text says."""
    line = json.dumps(asdict(report), allow_nan=False, separators=(",", ":"))
    return line.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"
