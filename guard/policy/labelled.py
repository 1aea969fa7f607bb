"""Labelled records as arrays: what measuring and tuning read, a million of them in a few hundred megabytes.

A file is streamed: of each labelled record only its scores for the asked categories, its truth and what it is
sliced by are kept, a number each. Records without labels are counted and left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from guard.policy.policy import Rule
from guard.policy.truth import Truth
from guard.types import Direction

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Codes: TypeAlias = NDArray[np.int32]

#: The score of a category that a record neither scores nor detects: it reaches no threshold.
UNSCORED = -np.inf
#: A property with more values names single texts rather than kinds of them.
MOST_VALUES = 50


@dataclass(frozen=True, slots=True, eq=False)
class Facet:
    """A property that records are sliced by.

    Attributes:
        key: ``language``, ``length`` or ``tags.NAME``.
        values: Its values, in the order of the codes.
        codes: Which value a record has, [records]; -1 where it has none.
    """

    key: str
    values: tuple[str, ...]
    codes: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """The labelled records of one file. Arrays have one entry a record and are not to be changed.

    Attributes:
        model: ``name@revision`` of all of them.
        scores: Category that a rule looks at -> score, 0..1, :data:`UNSCORED` where there is none; the higher of the
            classifier's and the recognizers', and of a parent's children.
        outputs: True for an output, False for a prompt.
        truths: The distinct truths.
        truth: Which of them a record has.
        facets: What the records are sliced by.
        order: A number that follows from the text and nothing else, to split the records by.
        notes: What was left out or may mislead, one line each.
    """

    model: str
    scores: Mapping[str, Floats]
    outputs: Bools
    truths: tuple[Truth, ...]
    truth: Codes
    facets: tuple[Facet, ...]
    order: NDArray[np.uint32]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    def of_category(self, category: str) -> NDArray[np.int8]:
        """1 where a rule on the category should fire, 0 where it should not, -1 where that is unknown; [records]."""
        return self._told([truth.of_category(category) for truth in self.truths])

    def of_decision(self) -> NDArray[np.int8]:
        """1 where the text is noncompliant, 0 where it is compliant in every way, -1 otherwise; [records]."""
        return self._told([truth.of_decision() for truth in self.truths])

    def whole(self) -> Bools:
        """True where the label speaks about every category, [records]."""
        return np.array([truth.whole for truth in self.truths], bool)[self.truth]

    def travels(self, direction: Direction | None) -> Bools:
        """True for the records of a direction; of every one for None."""
        if direction is None:
            return np.ones(len(self), bool)
        return self.outputs if direction is Direction.OUTPUT else ~self.outputs

    def concerns(self, rule: Rule) -> Bools:
        """True for the records that are a rule's business, by direction, language and tags."""
        out = self.travels(rule.direction)
        if rule.when is None:
            return out
        if rule.when.languages:
            out = out & self._has("language", rule.when.languages)
        for name, values in rule.when.tags:
            out = out & self._has(f"tags.{name}", values)
        return out

    def scores_of(self, rule: Rule) -> Floats:
        """What a rule is decided by, 0..1, :data:`UNSCORED` where there is nothing; [records]."""
        out = self.scores[rule.category]
        if rule.term_category and rule.term_category != rule.category:
            out = np.maximum(out, self.scores[rule.term_category])
        if rule.allow_category:
            decided = self.scores[rule.allow_category]
            out = np.where(decided > UNSCORED, decided, out)
        return out

    def facet(self, key: str) -> Facet:
        """The facet of a key that every record has, such as ``language``."""
        return next(facet for facet in self.facets if facet.key == key)

    def _has(self, key: str, values: Collection[str]) -> Bools:
        facet = next((facet for facet in self.facets if facet.key == key), None)
        if facet is None:
            return np.zeros(len(self), bool)
        return np.isin(facet.codes, [code for code, value in enumerate(facet.values) if value in values])

    def _told(self, table: Sequence[bool | None]) -> NDArray[np.int8]:
        codes = np.array([-1 if true is None else int(true) for true in table], np.int8)
        return codes[self.truth]
