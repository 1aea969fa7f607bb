"""The part of a model card about corpora: what was trained on, under which licence, and who wrote it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from guard.classifier.artifact import Artifact, Source
from training.card import text as card_text
from training.markdown import sections, table
from training.sources import OWN_CORPORA


@dataclass(frozen=True, slots=True)
class SourceLine:
    """What is known of a corpus beside its licence: where it came from, and what for."""

    use: str
    repository: str
    licence: str
    licence_class: str
    rows: str


def read_source_lines(path: Path) -> dict[tuple[str, str], SourceLine]:
    """(use, source) -> line of a SOURCES.tsv; use is train, bench, parallel, plain/en ...

    Raises:
        ValueError: The table has other columns.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        table = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(table, [])
        if header[:3] != ["used in", "source", "repository @ commit"] or len(header) < 6:
            raise ValueError(
                f"{path}: not a table of sources (used in, source, repository @ commit, licence, class, rows)"
            )
        rows = [line for line in table if len(line) >= 6]
    return {(line[0], line[1]): SourceLine(line[0], *line[2:6]) for line in rows}


_ROWS = (
    "Rows of the last stage's draw; the fine-tuning before it drew as many of the same corpora, without those that "
    "only the last stage reads (`translated_en`, `plexpt_annotated` and more than half of `translated_zh`)."
)


def write(artifact: Artifact, known: Mapping[tuple[str, str], SourceLine]) -> str:
    """Every section about corpora."""
    return sections(
        f"{_ROWS} {_licence_claim(artifact)}",
        _licences(artifact, known),
        _sources(artifact, known),
        _unlabelled(known),
        "### What a label is worth",
        card_text.LABELS,
    )


def _licence_claim(artifact: Artifact) -> str:
    """What can be said about restricted rows; a mixed corpus was read without them."""
    restricted = [source.name for source in artifact.sources if source.licence_class == "restricted"]
    if restricted:
        return f"**These weights are not for release**: {', '.join(restricted)} may not be used for that."
    return (
        "No row whose licence is restricted (non-commercial, no derivatives, research only, or not stated) entered any "
        "stage; of corpora with several licences only the free rows did."
    )


def _licences(artifact: Artifact, known: Mapping[tuple[str, str], SourceLine]) -> str:
    """Rows per class of licence, and who has to be named: share-alike corpora, and those written by a model."""
    classes: dict[str, list[Source]] = {}
    for source in artifact.sources:
        classes.setdefault(_terms(artifact, source)[1], []).append(source)
    rows = [(name, len(members), sum(s.rows for s in members)) for name, members in sorted(classes.items())]
    alike = [f"{s.name} ({s.licence})" for s in artifact.sources if s.licence_class == "sharealike"]
    unlabelled = [
        f"{line.use} {name} ({line.licence})"
        for (_, name), line in sorted(known.items())
        if _is_unlabelled(line) and line.licence_class == "sharealike"
    ]
    return sections(
        table(("class", "corpora", "rows"), rows) if rows else "",
        f"Share-alike corpora among them: {', '.join(alike)}." if alike else "",
        f"Share-alike pairs and paragraphs: {', '.join(unlabelled)}." if unlabelled else "",
    )


def _terms(artifact: Artifact, source: Source) -> tuple[str, str]:
    """Licence and class of a source; what is made from the others' rows has the strictest of theirs."""
    if source.name not in card_text.DERIVED:
        return source.licence, source.licence_class
    # Of a mixed corpus (permissive/restricted) only the free rows were read.
    found = {other.licence_class for other in artifact.sources}
    strictest = next((name for name in ("restricted", "sharealike") if name in found), "permissive")
    return "as its rows", strictest


def _sources(artifact: Artifact, known: Mapping[tuple[str, str], SourceLine]) -> str:
    rows = []
    for source in artifact.sources:
        plain = source.name.removeprefix("plain_")
        line = known.get(("train", source.name)) or next(
            (entry for (use, name), entry in known.items() if use.startswith("plain") and name == plain), None
        )
        if source.name in OWN_CORPORA:
            origin = OWN_CORPORA[source.name].origin
        else:
            origin = line.repository if line else card_text.DERIVED.get(source.name, "this project")
        written = card_text.MODEL_WRITTEN.get(source.name, "")
        rows.append((source.name, source.rows, *reversed(_terms(artifact, source)), written, origin))
    return table(("corpus", "rows", "class", "licence", "written by a model", "repository @ commit"), rows)


def _is_unlabelled(line: SourceLine) -> bool:
    return line.use not in ("train", "bench") and line.licence_class != "restricted"


def _unlabelled(known: Mapping[tuple[str, str], SourceLine]) -> str:
    rows = [
        (
            *(name, line.use, line.rows, line.licence_class, line.licence),
            *(card_text.MODEL_WRITTEN.get(f"plain_{name}", ""), line.repository),
        )
        for (_, name), line in sorted(known.items())
        if _is_unlabelled(line)
    ]
    if not rows:
        return ""
    head = ("corpus", "use", "rows at most", "class", "licence", "written by a model", "repository @ commit")
    return sections(
        "Sentence pairs and paragraphs for the vocabulary, the alignment and the rehearsal:", table(head, rows)
    )
