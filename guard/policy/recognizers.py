"""A policy's own recognizers: from what its file says to what runs, and the mistakes that no single value shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guard.errors import Problem
from guard.policy.schema import RecognizerEntry
from guard.policy.source import Document
from guard.policy.suggest import did_you_mean
from guard.recognizers.checksums import CHECKSUMS
from guard.recognizers.custom import Custom, compile_pattern, fold_words
from guard.types import CUSTOM


def own_recognizers(entries: Sequence[RecognizerEntry]) -> tuple[Custom, ...]:
    """The recognizers of checked entries, in their order."""
    return tuple(
        Custom(
            name=entry.name,
            patterns=tuple(map(compile_pattern, entry.patterns)),
            score=entry.score,
            checksum=CHECKSUMS[entry.checksum] if entry.checksum else None,
            context=fold_words(entry.context),
        )
        for entry in entries
    )


def recognizer_problems(document: Document) -> Iterator[Problem]:
    """Names that are used twice, and rules on a category that none of the recognizers finds.

    Args:
        document: Any policy file, sound or not.
    """
    lines: dict[str, int] = {}
    for index, entry in _mappings(document, "recognizers"):
        name = entry.get("name")
        if isinstance(name, str):
            loc = ("recognizers", index, "name")
            if name in lines:
                what = f"recognizer {name} is defined twice (first on line {lines[name]})"
                yield document.problem(loc, what, "give each recognizer a name of its own")
            lines.setdefault(name, document.values[loc].line)
    known = [f"{CUSTOM}.{name}" for name in lines]
    for index, rule in _mappings(document, "rules"):
        category = rule.get("category")
        if not isinstance(category, str) or not f"{category}.".startswith(f"{CUSTOM}."):
            continue
        if category not in known and not (category == CUSTOM and known):
            cure = did_you_mean(category, known) or "define it under recognizers"
            yield document.problem(("rules", index, "category"), f"no recognizer of the policy finds {category}", cure)


def _mappings(document: Document, key: str) -> Iterator[tuple[int, dict[str, object]]]:
    entries = document.value.get(key) if isinstance(document.value, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry
