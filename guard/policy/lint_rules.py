"""Checks of rules against each other: which can never fire, which can never decide, and which directions have none."""

from __future__ import annotations

from collections.abc import Iterator

from guard.policy.linted import Finding, Linted
from guard.policy.policy import Policy, Rule, When
from guard.policy.terms import folded_term
from guard.types import Action, Direction


def never_firing(subject: Linted) -> Iterator[Finding]:
    """Rules whose threshold no score reaches, or whose terms are all allowed."""
    for loc, rule in subject.rules():
        if rule.threshold == 1 and not rule.term_category:
            what = f"{rule.id} never fires: no score is ever 1"
            yield subject.finding("never-fires", (*loc, "threshold"), what, "write a threshold below 1")
        elif rule.category == rule.term_category and rule.allow_terms and _all_allowed(subject, rule):
            what = f"{rule.id} never fires: its terms are all among its allow-terms"
            yield subject.finding("never-fires", (*loc, "terms"), what, "take them out of one of the lists")


def always_firing(subject: Linted) -> Iterator[Finding]:
    """Rules whose threshold every score reaches."""
    for loc, rule in subject.rules():
        if rule.threshold == 0:
            what = f"{rule.id} fires on every text that has a score: its threshold is 0"
            yield subject.finding("always-fires", (*loc, "threshold"), what, "write a threshold above 0")


def never_deciding(subject: Linted) -> Iterator[Finding]:
    """Rules that add nothing, because a stricter one fires whenever they do; with a message of its own a rule does."""
    rules = list(subject.rules())
    for at, (loc, rule) in enumerate(rules):
        if rule.action is Action.ALLOW:
            continue  # it only reports, and does so beside any other
        for other_at, (_, stricter) in enumerate(rules):
            if other_at == at or stricter.shadow or not _covers(stricter, rule):
                continue
            if not rule.shadow and _is_order(stricter, rule):
                continue  # told as such
            twins = not rule.shadow and _covers(rule, stricter) and stricter.action is rule.action
            if twins and other_at > at:
                continue  # told at the later one
            if _adds_nothing(rule, stricter):
                does = "would never change a decision" if rule.shadow else "never decides"
                since = f"{stricter.id} asks for {stricter.action} from {stricter.threshold:g} on already"
                cure = f"remove it, lower its threshold, or raise that of {stricter.id}"
                yield subject.finding("never-decides", loc, f"{rule.id} {does}: {since}", cure)
                break


def threshold_order(subject: Linted) -> Iterator[Finding]:
    """Rewrite rules that begin where a block rule on the same category has begun already."""
    rules = list(subject.rules())
    for loc, rewrite in rules:
        if rewrite.action is not Action.REWRITE or rewrite.shadow:
            continue
        for _, block in rules:
            if not block.shadow and _is_order(block, rewrite):
                where = _common(block, rewrite)
                what = (
                    f"{rewrite.id} rewrites {where}from {rewrite.threshold:g} on, "
                    f"but {block.id} blocks from {block.threshold:g} on"
                )
                cure = f"block above rewrite: lower this one, or raise the threshold of {block.id}"
                yield subject.finding("threshold-order", (*loc, "threshold"), what, cure)
                break


def unwatched_directions(subject: Linted) -> Iterator[Finding]:
    """Directions that no rule looks at."""
    for direction in Direction:
        if not any(rule.applies_to(direction) for rule in subject.policy.rules):
            what = f"no rule looks at {direction}s: they all pass"
            cure = f"add one, or one with action: allow if {direction}s are only to be watched"
            yield subject.finding("no-rules", ("rules",), what, cure, at_key=True)


def _is_order(block: Rule, rewrite: Rule) -> bool:
    """True if a block rule takes from a rewrite rule, in a direction at least, all that it would act on."""
    return (
        block.action is Action.BLOCK
        and rewrite.action is Action.REWRITE
        and (block.direction is None or rewrite.direction is None or block.direction is rewrite.direction)
        and _covers_but_direction(block, rewrite)
    )


def _common(block: Rule, rewrite: Rule) -> str:
    direction = block.direction or rewrite.direction
    return "" if direction is rewrite.direction or direction is None else f"{direction}s "


def _covers(wide: Rule, narrow: Rule) -> bool:
    """True if the first rule fires whenever the second does."""
    return wide.direction in {None, narrow.direction} and _covers_but_direction(wide, narrow)


def _covers_but_direction(wide: Rule, narrow: Rule) -> bool:
    return (
        not narrow.term_category
        and wide.matches(narrow.category)
        and wide.threshold <= narrow.threshold
        and (not wide.allow_terms or wide.allow_terms == narrow.allow_terms)
        and _holds_for_all(wide.when, narrow.when)
    )


def _holds_for_all(wide: When | None, narrow: When | None) -> bool:
    if wide is None:
        return True
    if narrow is None:
        return False
    if wide.languages and not (narrow.languages and narrow.languages <= wide.languages):
        return False
    asked = dict(narrow.tags)
    return all(name in asked and asked[name] <= values for name, values in wide.tags)


def _adds_nothing(rule: Rule, stricter: Rule) -> bool:
    if stricter.action.strength < rule.action.strength:
        return False
    if stricter.action is rule.action:
        same = stricter.rewrite is rule.rewrite and stricter.options == rule.options
        return same and rule.message in ({}, stricter.message)
    # The words of a weaker rule are shown where the stronger one has none.
    return not rule.message or bool(stricter.message)


def _all_allowed(subject: Linted, rule: Rule) -> bool:
    policy = subject.policy
    entry = next(entry for entry in subject.entries("rules") if entry.get("id") == rule.id)
    terms = entry.get("terms")
    words = [term for term in terms if isinstance(term, str)] if isinstance(terms, list) else []
    # What files and patterns hold may be found anywhere.
    return isinstance(terms, list) and len(words) == len(terms) and all(_allowed(policy, rule, word) for word in words)


def _allowed(policy: Policy, rule: Rule, word: str) -> bool:
    """True if a term lies inside of an allow-term wherever it is found."""
    folded = folded_term(word)
    hits = policy.terms.find(folded) if policy.terms else ()
    return any(h.category == rule.allow_terms and (h.start, h.end) == (0, len(folded)) for h in hits)
