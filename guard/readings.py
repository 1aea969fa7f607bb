"""Two readings of a text, one outcome. Pure.

What a disguise hides is scored beside the text as it stands, and per category the higher score counts: a second reading
can make a decision stronger and never weaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guard.policy.evaluate import Outcome
from guard.types import Detection, Span


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found in one reading.

    Attributes:
        scores: Category -> probability, 0..1.
        detections: Places, in code points of the original.
    """

    scores: Mapping[str, float]
    detections: tuple[Detection, ...]


def combine(first: Evidence, second: Evidence) -> Evidence:
    """The higher score of every category, and every place once, with the higher score as well."""
    # In this order a second score that is no number stays, to be noticed.
    scores = {name: max(second.scores.get(name, score), score) for name, score in first.scores.items()}
    places: dict[tuple[str, Span, str], Detection] = {}
    for found in (*first.detections, *second.detections):
        key = found.category, found.span, found.source
        if key not in places or found.score > places[key].score:
            places[key] = found
    if len(places) == len(first.detections):
        return Evidence(scores, tuple(places.values()))
    return Evidence(scores, tuple(sorted(places.values(), key=lambda found: (found.span, found.category))))


def changes(before: Outcome, after: Outcome) -> bool:
    """True if a second reading made a difference: another rule fired, or another place is to be rewritten."""
    fired = [rule.id for rule in before.rules], before.places, before.action
    return fired != ([rule.id for rule in after.rules], after.places, after.action)
