"""What the reports of the policy commands share: sections of tables, one line of JSON, and the model that is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from guard.cli.output import show, table, write_line

if TYPE_CHECKING:
    from guard.policy.measures import Estimate

#: What a file of records is, for help texts.
RECORDS = "Records of `guard screen --input`, in JSON Lines"


def section(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, shrinks: str = "", left: Sequence[str] = ()
) -> None:
    """A table below an empty line: numbers to the right, what stands on the left named or the first column."""
    cells = [[Text(str(cell)) for cell in row] for row in rows]
    if not cells:
        return
    write_line("")
    right = [column for column in columns if column not in (left or columns[:1])]
    show(table(columns, cells, shrinks=shrinks or columns[0], right=right))


def json_line(found: Any, notes: Sequence[str], **more: object) -> str:
    """A report, a dataclass, with the names of its types on one line."""
    document = {**asdict(found), **more, "notes": notes}
    line = dumps(document, ensure_ascii=False, allow_nan=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # an id or a tag with half a character, which only an escape can carry
        return dumps(document, allow_nan=False)
    return line


def rate(estimate: Estimate, *, interval: bool = True) -> str:
    """A rate with three decimals and its interval; ``-`` where it is not defined."""
    if estimate.value is None:
        return "-"
    if not interval or estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def model_notes(model: str, directory: Path | None) -> list[str]:
    """A line if the scores are not of the model that is installed, or given with ``--model``.

    Raises:
        ArtifactError: The given directory holds no model.
    """
    # Imported here: the other commands start without it.
    from guard.classifier.artifact import DEFAULT_MODEL_DIR, read_artifact

    if directory is None and not DEFAULT_MODEL_DIR.exists():
        return []
    installed = read_artifact(directory or DEFAULT_MODEL_DIR).identity
    if installed == model:
        return []
    where = "here" if directory is None else f"in {directory}"
    return [f"the scores are of {model}, the model {where} is {installed} (screen the texts again to measure that one)"]
