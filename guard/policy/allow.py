"""Allow-terms: the local cure for a false positive, such as the name of a drug in a pharmacy. Pure.

An allow-term names the rules that it is for. Where one of these fires on a text that has the term, the text is scored
twice more: with a neutral word in the term's place, and with the term cut out. The rule is lifted only if it fires on
neither, so a term never speaks for what stands around it: appended to a text on which the rule fires it changes
nothing, whatever it makes of the model's scores, because without the term that text is left. Other rules never see
any of this. What a recognizer found, or a deny-term, is lifted where it lies inside the allow-term as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from guard.policy.evaluate import Outcome, counted, rule_score
from guard.policy.policy import Policy, Rule
from guard.policy.terms import Hit
from guard.types import ALLOW_PREFIX, TERM_PREFIX, Detection

# What stands for a term. Pronouns of things unknown ("something", 某物) were tried: they read like a secret, and a
# classifier distrusts them where it trusts these.
_EN, _ZH = "the item", "这个"
_CHINESE = range(0x3400, 0xA000)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Rules that fired on a text with allow-terms of theirs.

    Attributes:
        rules: They have the same terms at the same places.
        texts: What is to be scored: NORMALISED texts without the terms; none if nothing else is in the text.
    """

    rules: tuple[Rule, ...]
    texts: tuple[str, ...]


def is_evidence(name: str) -> bool:
    """True if a name among scores or detections is that of terms, and of no category that a policy can write."""
    return name.startswith((TERM_PREFIX, ALLOW_PREFIX))


def unlooked(rules: Iterable[Rule], names: Collection[str]) -> Iterator[str]:
    """Rules with terms that nobody looked for in a recorded text, by id.

    Args:
        rules: The rules that are to decide.
        names: Of the record's scores and detections.
    """
    for rule in rules:
        own = not rule.term_category or rule.term_category in names
        allowed = not rule.allow_terms or rule.allow_terms in names or rule.allow_category in names
        if not (own and allowed):
            yield rule.id


def unlooked_note(policy: Policy, rule: str, records: int) -> str:
    """One line on records whose texts nobody looked through for a rule's terms."""
    return (
        f"policy {policy.identity}: {records} records without a word on the terms of {rule}, which are taken as absent "
        "(screen the texts again with this policy)"
    )


def with_terms(
    policy: Policy, scores: Mapping[str, float], detections: Sequence[Detection], hits: Sequence[Hit]
) -> dict[str, float]:
    """Scores, and what the terms of a policy add to them.

    A rule's own terms score 1 or 0. The score under its allow-terms is that of the rule where the text has none of
    them; where it has, nothing is known before the text is scored again. So a missing score says that nobody looked.

    Args:
        policy: The policy; with terms.
        scores: The classifier's.
        detections: Everything that was found and counts, terms included.
        hits: Every place of a term, counted or not.
    """
    out = dict(scores)
    found = {detection.category for detection in detections}
    present = {hit.category for hit in hits}
    for rule in policy.rules:
        if rule.term_category:
            out[rule.term_category] = 1.0 if rule.term_category in found else 0.0
    for rule in policy.rules:
        if rule.allow_terms and rule.allow_terms not in present:
            raw = rule_score(rule, out, detections)
            if raw is not None:
                out[rule.allow_category] = raw
    return out


def doubts(policy: Policy, outcome: Outcome, text: str, hits: Sequence[Hit]) -> tuple[Doubt, ...]:
    """What has to be scored again before the outcome stands; nothing for nearly every text.

    Args:
        policy: It decided.
        outcome: As if no rule had allow-terms.
        text: The NORMALISED text.
        hits: The places of its terms.
    """
    fired = {rule.id for rule in outcome.rules}
    places: dict[tuple[tuple[int, int], ...], list[Rule]] = {}
    for rule in policy.rules:
        if rule.id in fired and rule.allow_terms:
            own = tuple((hit.start, hit.end) for hit in hits if hit.category == rule.allow_terms)
            if own:
                places.setdefault(own, []).append(rule)
    return tuple(Doubt(tuple(rules), texts_without(text, own)) for own, rules in places.items())


def lifted(
    doubt: Doubt,
    scores: Mapping[str, float],
    detections: Sequence[Detection],
    answers: Sequence[Mapping[str, float] | None],
) -> dict[str, float]:
    """Scores with those that decide the doubted rules.

    Args:
        doubt: The rules.
        scores: Of the text as it is.
        detections: What was found in it.
        answers: The classifier's scores of the doubt's texts; None where it failed, which lifts nothing.
    """
    out = dict(scores)
    for rule in doubt.rules:
        if any(answer is None for answer in answers):
            decided = rule_score(rule, scores, detections)
        else:
            left = counted(rule, detections)
            found = [rule_score(rule, answer or {}, left) for answer in (*answers, {})]
            decided = max((score for score in found if score is not None), default=0.0)
        if decided is not None:
            out[rule.allow_category] = decided
    return out


def texts_without(text: str, places: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """A text with a neutral word for the terms, and one without them; a blank one is left out.

    Args:
        text: The NORMALISED text.
        places: [start, end) of the terms, in order and apart from each other.
    """
    pieces: list[str] = []
    words: list[str] = []
    at = 0
    for start, end in places:
        pieces.append(text[at:start])
        words.append(_ZH if any(char in _CHINESE for char in map(ord, text[start:end])) else _EN)
        at = end
    neutral = "".join(piece + word for piece, word in zip(pieces, words, strict=True)) + text[at:]
    cut = pieces[0]
    for piece in (*pieces[1:], text[at:]):
        cut = _seamed(cut, piece)
    return (neutral, cut) if cut.strip() else ()


def _seamed(before: str, after: str) -> str:
    """Both sides of what is cut out; a space that belonged to it goes with it."""
    if (not before or before[-1].isspace()) and (not after or after[0].isspace()):
        return before + after[1:] if after else before[:-1]
    return before + after
