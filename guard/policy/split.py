"""Records to choose on and records to report on; records of one language and of another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from guard.policy.labelled import Bools, Labelled


def held_out(records: Labelled, share: float) -> Bools:
    """Which records are kept to report on: of each direction and label the same share, chosen by their texts.

    A text has the same number in every file, so a second run, with more records, hardly mixes the parts.

    Args:
        records: Labelled records.
        share: 0 up to 1.
    """
    kind = records.outputs * 3 + records.of_decision() + 1
    out = np.zeros(len(records), bool)
    for value in np.unique(kind):
        members = np.flatnonzero(kind == value)
        ranked = members[np.argsort(records.order[members], kind="stable")]
        out[ranked[: round(share * len(ranked))]] = True
    return out


def parts_by_language(records: Labelled, by_language: bool) -> Iterator[tuple[str | None, Bools]]:
    """The parts that have thresholds of their own: each language by name, or None and all records; [records]."""
    if not by_language:
        yield None, np.ones(len(records), bool)
        return
    languages = records.facet("language")
    for code, value in sorted(enumerate(languages.values), key=lambda item: item[1]):
        yield value, languages.codes == code
