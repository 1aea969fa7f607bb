"""Licences of the corpora, from the table that comes with them (SOURCES.tsv)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from guard.classifier.artifact import Source

_COLUMNS = ("used in", "source", "class")


def read_sources(path: Path) -> dict[str, Source]:
    """Source name -> licence, of every source that the table lists for training or as plain text.

    Args:
        path: Tab-separated, with a header: used in, source, repository @ commit, licence ..., class, rows, remarks.

    Raises:
        SystemExit: The file has other columns.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        table = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = table.fieldnames or []
        licence = next((name for name in header if name.startswith("licence")), None)
        missing = [name for name in _COLUMNS if name not in header] + ([] if licence else ["licence"])
        if missing or licence is None:
            raise SystemExit(f"{path}: no column {', '.join(missing)} (give the SOURCES.tsv of the corpora)")
        sources: dict[str, Source] = {}
        for line in table:
            use = line["used in"] or ""
            if use != "train" and not use.startswith("plain"):
                continue
            name = line["source"] if use == "train" else f"plain_{line['source']}"
            sources[name] = Source(name, line[licence] or "", line["class"] or "", 0)
    return sources


def used_sources(rows: Mapping[str, int], table: Path | None) -> tuple[Source, ...]:
    """What a model was trained on, with the rows taken; what the table lacks was written for this project."""
    known = read_sources(table) if table else {}
    out: list[Source] = []
    for name, count in sorted(rows.items()):
        entry = known.get(name)
        if entry is None:
            out.append(Source(name, "Apache-2.0 (written for this project)", "permissive", count))
        else:
            out.append(Source(name, entry.licence, entry.licence_class, count))
    return tuple(out)
