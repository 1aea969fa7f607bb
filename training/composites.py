"""Texts whose place of harm is known: one noncompliant sentence planted in a harmless paragraph, for measuring only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from guard.classifier.classifier import Query
from guard.normalize import normalize
from guard.sentences import END, sentences
from guard.types import NONCOMPLIANT, Direction, Turn
from training.corpora.row import COMPLIANT, Row
from training.queries import normalized_context

#: Sentences of a paragraph.
FEWEST, MOST = 4, 8
#: Length of a plant in code points, per language.
PLANT = {"en": (12, 220), "zh": (5, 90)}
# Longest paragraph; a plant among much more text would be a question of chunks.
_PARAGRAPH = {"en": 1200, "zh": 500}
_GAP = {"en": " ", "zh": ""}
_STOP = {"en": ".", "zh": "。"}
_SIDES = {Direction.PROMPT: ("prompt", "content"), Direction.OUTPUT: ("response", "content")}


@dataclass(frozen=True, slots=True)
class Composite:
    """A text with a known place of harm.

    Attributes:
        lang: Language.
        query: What the classifier is asked.
        start: First code point of the plant in the query's text.
        end: One past the last.
        sentences: [start, end) of every sentence, the plant among them, in order.
    """

    lang: str
    query: Query
    start: int
    end: int
    sentences: tuple[tuple[int, int], ...]


def composites(
    rows: Iterable[Row], paragraphs: Iterable[Row], lang: str, direction: Direction, *, count: int, seed: int = 0
) -> list[Composite]:
    """Composites of one language and direction.

    Args:
        rows: Where plants come from: the noncompliant ones of one sentence and a fitting side.
        paragraphs: Compliant rows; those of a fitting side with enough sentences count.
        lang: ``en`` or ``zh``.
        direction: What the composite is sent as.
        count: How many; fewer plants or paragraphs are used again, in other pairs.
        seed: Determines the pairs and the borders.

    Returns:
        ``count`` composites, or none if there is no plant or no paragraph.
    """
    plants = [row for row in rows if row.lang == lang and row.side in _SIDES[direction] and _is_plant(row)]
    hosts = [
        row
        for row in paragraphs
        if row.lang == lang and row.side in _SIDES[direction] and _is_host(normalize(row.text[: _PARAGRAPH[lang]]).text)
    ]
    if not plants or not hosts:
        return []
    rng = np.random.default_rng(seed)
    out: list[Composite] = []
    for number in range(count):
        if number % len(plants) == 0:
            plants = [plants[i] for i in rng.permutation(len(plants))]
        plant, host = plants[number % len(plants)], hosts[int(rng.integers(len(hosts)))]
        asked = plant if plant.side == "response" else host
        out.append(_compose(plant, host, normalized_context(asked), direction, rng))
    return out


def _is_plant(row: Row) -> bool:
    shortest, longest = PLANT[row.lang]
    text = normalize(row.text).text.strip()
    return row.label == NONCOMPLIANT and shortest <= len(text) <= longest and len(sentences(text)) == 1


def _is_host(text: str) -> bool:
    return len(_whole(text)) >= FEWEST


def _whole(text: str) -> list[tuple[int, int]]:
    """The first sentences that are complete: the last piece of a cut text is not."""
    found = sentences(text)
    if found and not END.search(text, found[-1][0]):
        found.pop()
    return found[:MOST]


def _compose(
    plant: Row, host: Row, context: tuple[Turn, ...], direction: Direction, rng: np.random.Generator
) -> Composite:
    lang = plant.lang
    text = normalize(host.text[: _PARAGRAPH[lang]]).text
    inner = normalize(plant.text).text.strip()
    if not END.search(inner):
        inner += _STOP[lang]
    pieces = [text[start:end] for start, end in _whole(text)]
    at = int(rng.integers(len(pieces) + 1))
    pieces.insert(at, inner)
    joined, spans = "", []
    for piece in pieces:
        if joined and not joined[-1].isspace():
            joined += _GAP[lang]
        spans.append((len(joined), len(joined) + len(piece)))
        joined += piece
    return Composite(lang, Query(joined, direction, context), *spans[at], tuple(spans))


def harmless_paragraphs(rows: Sequence[Row], among: Collection[str] | None = None) -> list[Row]:
    """Compliant rows of the sources that have no violation.

    Args:
        rows: Everything that is known of the sources.
        among: Only rows of these ids; None for all.
    """
    harmful = {row.source for row in rows if row.label == NONCOMPLIANT}
    return [
        row
        for row in rows
        if row.label == COMPLIANT and row.source not in harmful and row.about_all and (among is None or row.id in among)
    ]
