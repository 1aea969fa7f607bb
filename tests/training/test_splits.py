"""The one sample that every measurement draws."""

from __future__ import annotations

from collections import Counter

import numpy as np

from training.corpora.row import AMBIGUOUS, COMPLIANT, Row
from training.corpora.splits import sample


def _row(source: str, lang: str, side: str, number: int, label: str) -> Row:
    return Row(id=f"{source}-{lang}-{side}-{number}", source=source, lang=lang, side=side, text="x", label=label)


def _rows(count: int, source: str, lang: str = "en", side: str = "prompt", label: str | None = None) -> list[Row]:
    by_turns = (COMPLIANT, "noncompliant")
    return [_row(source, lang, side, number, label or by_turns[number % 2]) for number in range(count)]


def test_a_sample_is_capped_by_source_side_and_language() -> None:
    """Each group gives at most the limit, a small one all it has, and without a limit everything decided stays."""
    rows = [*_rows(20, "a"), *_rows(20, "a", side="content"), *_rows(3, "b", "zh"), *_rows(4, "c", label=AMBIGUOUS)]
    counts = Counter((row.source, row.side, row.lang) for row in sample(rows, 8))
    assert counts == {("a", "prompt", "en"): 8, ("a", "content", "en"): 8, ("b", "prompt", "zh"): 3}
    assert len(sample(rows, None)) == 43


def test_by_label_each_label_has_its_own_limit() -> None:
    """Compliant and noncompliant rows of a source are capped apart."""
    counts = Counter((row.source, row.label) for row in sample([*_rows(60, "a"), *_rows(8, "b")], 10, by_label=True))
    assert counts == {("a", COMPLIANT): 10, ("a", "noncompliant"): 10, ("b", COMPLIANT): 4, ("b", "noncompliant"): 4}


def test_a_sample_does_not_depend_on_the_order() -> None:
    """The same rows in any order give the same sample, and rows of another source move none of it."""
    rows = _rows(200, "a")
    order = np.random.default_rng(0).permutation(len(rows))
    chosen = {row.id for row in sample(rows, 10)}
    assert chosen == {row.id for row in sample([rows[i] for i in order], 10)}
    assert chosen == {row.id for row in sample([*_rows(50, "b"), *rows], 10) if row.source == "a"}
    assert chosen != {row.id for row in rows[:10]}


def test_a_sample_is_part_of_a_larger_one() -> None:
    """What was scored for a smaller sample is reused in a larger one."""
    few, more = ({row.id for row in sample(_rows(60, "a"), n, by_label=True)} for n in (4, 9))
    assert few < more
