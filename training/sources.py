"""Licences of the corpora, from the table that comes with them (SOURCES.tsv)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from guard.classifier.artifact import Source

_COLUMNS = ("used in", "source", "class")


@dataclass(frozen=True, slots=True)
class OwnCorpus:
    """What was made for this project from rows of public corpora, which no public table lists as it is.

    Attributes:
        licence: The terms of its rows.
        licence_class: The strictest of its sources' classes.
        origin: What it was made from.
    """

    licence: str
    licence_class: str
    origin: str


#: What every training reads that was written for this project, or made from its rows by a program.
_WRITTEN = frozenset({"contrast", "composed", "disguised", "encoded"})

_RENDERED = "as the sources; translations by a language model, for this project"
#: Corpora of renderings and of second labels, by name.
OWN_CORPORA: Mapping[str, OwnCorpus] = {
    "translated_zh": OwnCorpus(
        _RENDERED,
        "permissive",
        "from guardreasoner_mix (WildGuard, ODC-BY), harmfulqa (Apache-2.0), jailbreak_templates (MIT, Apache-2.0), "
        "trustllm, hh_rlhf, toxigen_annotated (MIT)",
    ),
    "translated_en": OwnCorpus(_RENDERED, "permissive", "from jade (MIT)"),
    "plexpt_annotated": OwnCorpus(
        "GPL-3.0; labels by a language model, for this project", "sharealike", "from plexpt_questions"
    ),
}


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
    """What a model was trained on, with the rows taken; of what no table lists the terms are not known."""
    known = read_sources(table) if table else {}
    out: list[Source] = []
    for name, count in sorted(rows.items()):
        entry, own = known.get(name), OWN_CORPORA.get(name)
        if own is not None:
            out.append(Source(name, own.licence, own.licence_class, count))
        elif entry is None and name in _WRITTEN:
            out.append(Source(name, "Apache-2.0 (written for this project)", "permissive", count))
        elif entry is None:
            out.append(Source(name, "not stated", "not stated", count))
        else:
            out.append(Source(name, entry.licence, entry.licence_class, count))
    return tuple(out)
