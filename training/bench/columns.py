"""Records of a benchmark as columns, and the number by which a text is ranked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.metrics import Floats
from guard.records import Record
from guard.types import CATEGORIES, NONCOMPLIANT, Action
from training.corpora.row import ALL, COMPLIANT, Row, targets_of


@dataclass(frozen=True, slots=True)
class Bench:
    """Labelled records as columns; all arrays have one entry per text.

    Attributes:
        side: prompt, response or content.
        lang: Language as the corpus has it.
        source: The corpus.
        label: True for noncompliant.
        rank: The number that texts are ranked by, 0..1.
        acted: True where the policy did not allow the text.
        about_all: True where the label speaks about every category.
        scores: Every category's score, [texts, categories].
        known: What the label says per category, [texts, categories]: 0, 1, or NaN where it is silent.
        tokens: Model tokens of the text; 0 where no model counted them.
    """

    side: NDArray[np.str_]
    lang: NDArray[np.str_]
    source: NDArray[np.str_]
    label: NDArray[np.bool_]
    rank: Floats
    acted: NDArray[np.bool_]
    about_all: NDArray[np.bool_]
    scores: Floats
    known: Floats
    tokens: NDArray[np.int64]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Bench:
        """Columns of the records that carry a label, scores and ``extra`` with side, lang and source."""
        usable = [r for r in records if r.label is not None and r.scores and "source" in r.extra]
        return cls(
            side=np.array([str(r.extra["side"]) for r in usable]),
            lang=np.array([str(r.extra["lang"]) for r in usable]),
            source=np.array([str(r.extra["source"]) for r in usable]),
            label=np.array([r.label == NONCOMPLIANT for r in usable], bool),
            rank=np.array([rank_score(r.scores, r.about or (ALL,)) for r in usable], float),
            acted=np.array([r.action is not Action.ALLOW for r in usable], bool),
            about_all=np.array([ALL in (r.about or (ALL,)) for r in usable], bool),
            scores=np.array([[r.scores[c] for c in CATEGORIES] for r in usable], float).reshape(-1, len(CATEGORIES)),
            known=np.array([_known(r) for r in usable], float).reshape(-1, len(CATEGORIES)),
            tokens=np.array([r.tokens for r in usable], np.int64),
        )


def rank_score(scores: Mapping[str, float], about: Sequence[str]) -> float:
    """The number a text is ranked by: ``noncompliant``, or the highest category that the label speaks about."""
    if ALL in about:
        return scores[NONCOMPLIANT]
    return max(scores[c] for c in about)


def _known(record: Record) -> list[float]:
    row = Row(
        id=record.id,
        source="",
        lang="",
        side="prompt",
        text="-",
        label=record.label or COMPLIANT,
        categories=record.categories or (),
        about=record.about or (ALL,),
    )
    targets = targets_of(row)
    return [v if m else math.nan for v, m in zip(targets.values, targets.mask, strict=True)]
