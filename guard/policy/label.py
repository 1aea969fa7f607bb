"""Which records to judge first, and what a key says about one: pure.

A judgement teaches most where the policy is least sure, so records come by their distance to the nearest threshold
(uncertainty sampling: Lewis and Gale, A Sequential Algorithm for Training Text Classifiers, SIGIR 1994).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from guard.policy.evaluate import decided_score
from guard.policy.policy import Policy, Rule
from guard.policy.suggest import did_you_mean
from guard.policy.truth import OTHER
from guard.records import LABELS, Record
from guard.types import CATEGORIES, NONCOMPLIANT, PII_CATEGORIES

_COMPLIANT, _NONCOMPLIANT = LABELS

#: What a noncompliant text can be in; a number stands for each, from 1.
ANSWERS: tuple[str, ...] = (*(name for name in CATEGORIES if name != NONCOMPLIANT), *PII_CATEGORIES, OTHER)


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A record to be judged.

    Attributes:
        offset: Where its line begins in the file, in bytes.
        rule: The rule whose threshold is nearest.
        score: What the rule was compared by, 0..1.
        distance: From the score to the threshold.
    """

    offset: int
    rule: Rule
    score: float
    distance: float


@dataclass(frozen=True, slots=True)
class Queue:
    """Records to be judged, the most doubtful first, and how many others are left out.

    Attributes:
        doubtful: In the order in which to ask.
        seen: Records in the file.
        done: Judged in an earlier run.
        labelled: With a label of their own.
        without_text: Which nobody could judge.
        repeated: With the text and direction of another one.
        unasked: Which no rule with a score was asked about, or which could not be screened.
    """

    doubtful: tuple[Doubtful, ...]
    seen: int
    done: int
    labelled: int
    without_text: int
    repeated: int
    unasked: int

    def notes(self) -> tuple[str, ...]:
        """What is not asked about, one line each."""
        told = (
            (self.labelled, "have a label already"),
            (self.without_text, "have no text"),
            (self.repeated, "have the text of another one"),
            (self.unasked, "were not scored for a rule"),
        )
        return tuple(f"not asked: {count} records {why}" for count, why in told if count)


def doubtful_first(
    policy: Policy, records: Iterable[tuple[int, Record]], done: Callable[[str], bool], rules: Collection[str] = ()
) -> Queue:
    """The order in which to judge.

    Args:
        policy: Its rules' thresholds say what is doubtful; shadow rules count as well.
        records: Offset and record, read once; only numbers are kept of them.
        done: True for an id that is judged.
        rules: Ids of the rules to go by; all if none is named.
    """
    asked = [rule for rule in policy.rules if not rules or rule.id in rules]
    found: list[Doubtful] = []
    texts: set[bytes] = set()
    seen = judged = labelled = without_text = repeated = unasked = 0
    for offset, record in records:
        seen += 1
        text = bytes.fromhex(record.text_hash)[:12] + record.direction.encode()
        doubtful = None if record.degraded else _nearest(asked, offset, record)
        if done(record.id):
            judged += 1
            texts.add(text)
        elif record.label is not None or record.categories:
            labelled += 1
        elif record.text is None:
            without_text += 1
        elif doubtful is None:
            unasked += 1
        elif text in texts:
            repeated += 1
        else:
            texts.add(text)
            found.append(doubtful)
    found.sort(key=lambda doubtful: (doubtful.distance, doubtful.offset))
    return Queue(tuple(found), seen, judged, labelled, without_text, repeated, unasked)


def _nearest(rules: Iterable[Rule], offset: int, record: Record) -> Doubtful | None:
    nearest = None
    for rule in rules:
        if not rule.concerns(record.direction, record.lang, record.tags) or record.scores.get(rule.term_category) == 1:
            continue  # that a term is in a text is not in doubt
        score = decided_score(rule, record.scores, record.detections)
        if score is None or rule.category == rule.term_category:
            continue
        distance = abs(score - rule.threshold)
        if nearest is None or distance < nearest.distance:
            nearest = Doubtful(offset, rule, score, distance)
    return nearest


class Command(StrEnum):
    """A key that says nothing about the text."""

    SKIP = "s"
    BACK = "b"
    QUIT = "q"
    HELP = "?"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What somebody says about a text.

    Attributes:
        label: ``compliant`` or ``noncompliant``.
        categories: Which categories it is in; None if that was not said.
    """

    label: str
    categories: tuple[str, ...] | None

    def of(self, record: Record) -> Record:
        """The record with this judgement; it speaks about every category."""
        return replace(record, label=self.label, categories=self.categories, about=None)


def read_key(line: str) -> Judgement | Command | str:
    """What was typed.

    Args:
        line: ``y``, ``n``, one or several categories by name or number, or a :class:`Command`.

    Returns:
        A judgement, a command, or one line on what is wrong with it.
    """
    words = [word for word in re.split(r"[\s,]+", line.strip().lower()) if word]
    if len(words) == 1 and words[0] in {"y", "yes"}:
        return Judgement(_COMPLIANT, ())
    if len(words) == 1 and words[0] in {"n", "no"}:
        return Judgement(_NONCOMPLIANT, None)
    if len(words) == 1 and words[0] in set(Command):
        return Command(words[0])
    names = [_named(word) for word in words]
    for word, name in zip(words, names, strict=True):
        if not name:
            return f"{word[:40]!r} is no answer ({did_you_mean(word, ANSWERS) or 'y, n, a category, s, b, q or ?'})"
    if not names:
        return "no answer (y, n, a category, s, b, q or ?)"
    return Judgement(_NONCOMPLIANT, tuple(dict.fromkeys(names)))


def _named(word: str) -> str:
    if word.isdecimal() and word.isascii():
        return ANSWERS[int(word) - 1] if 1 <= int(word[:4]) <= len(ANSWERS) and len(word) <= 4 else ""
    return word if word in ANSWERS else ""
