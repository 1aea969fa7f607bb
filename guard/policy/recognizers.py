"""A policy's own recognizers: from what its file says to what runs, and the mistakes that no single value shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guard.errors import Problem
from guard.patterns import compile_pattern
from guard.policy.extend import Merged
from guard.policy.schema import RecognizerEntry
from guard.policy.source import entries
from guard.policy.suggest import did_you_mean
from guard.recognizers.checksums import CHECKSUMS
from guard.recognizers.custom import Custom, fold_words
from guard.types import CUSTOM


def own_recognizers(written: Sequence[RecognizerEntry]) -> tuple[Custom, ...]:
    """The recognizers of checked entries, in their order."""
    return tuple(
        Custom(
            name=entry.name,
            patterns=tuple(map(compile_pattern, entry.patterns)),
            score=entry.score,
            checksum=CHECKSUMS[entry.checksum] if entry.checksum else None,
            context=fold_words(entry.context),
        )
        for entry in written
    )


def recognizer_problems(merged: Merged) -> Iterator[Problem]:
    """Rules on a category that none of the policy's recognizers finds.

    Args:
        merged: Any policy file, sound or not.
    """
    if merged.incomplete:
        return
    names = (entry.get("name") for _, entry in entries(merged.value, "recognizers"))
    known = [f"{CUSTOM}.{name}" for name in names if isinstance(name, str)]
    for index, rule in entries(merged.value, "rules"):
        category = rule.get("category")
        if not isinstance(category, str) or not f"{category}.".startswith(f"{CUSTOM}."):
            continue
        if category not in known and not (category == CUSTOM and known):
            cure = did_you_mean(category, known) or "define it under recognizers"
            yield merged.problem(("rules", index, "category"), f"no recognizer of the policy finds {category}", cure)
