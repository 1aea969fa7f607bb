"""Checks of a policy beside a model: categories that it does not carry, thresholds of another one, its own messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from guard.errors import GuardError
from guard.policy.cases import Screen
from guard.policy.evaluate import BUILT_IN_MESSAGE, evaluate
from guard.policy.linted import Finding, Linted
from guard.policy.policy import Mode, Policy, Rule
from guard.policy.source import Loc
from guard.types import CATEGORIES, Action, Content, Direction


def unsupported_categories(subject: Linted) -> Iterator[Finding]:
    """Rules on what the installed model does not score, or not reliably."""
    model = subject.model
    for loc, rule in subject.rules() if model else ():
        assert model is not None
        if rule.category not in CATEGORIES or (
            rule.category in model.categories and rule.category not in model.unsupported
        ):
            continue
        reason = "does not support" if rule.category in model.categories else "does not score"
        what = f"{model.identity} {reason} {rule.category}, so {rule.id} is not to be relied on"
        cure = "add terms to the rule, or remove it; guard info names the categories"
        yield subject.finding("unsupported-category", (*loc, "category"), what, cure)


def other_models(subject: Linted) -> Iterator[Finding]:
    """Thresholds that were set on another model's scores."""
    if subject.model is None or subject.policy.mismatch(subject.model.identity) is None:
        return
    what = f"the thresholds were set on {subject.policy.calibrated_for}, the model here is {subject.model.identity}"
    cure = "see what changes with guard policy diff, set them anew with tune, then change this line"
    yield subject.finding("other-model", ("calibrated_for",), what, cure)


def own_messages(subject: Linted) -> Iterator[Finding]:
    """Messages and templates that the policy would not let pass as an answer."""
    if subject.screen is None:
        return
    told: set[str] = set()
    for loc, text, tags in _messages(subject):
        if text in told:
            continue  # two rules may share their words
        if why := _stopped_by(subject.policy, subject.screen, text, tags):
            told.add(text)
            what = f"the policy would not let this message pass: {why}"
            yield subject.finding("own-message", loc, what, "say it in other words, or change the rule")


def _messages(subject: Linted) -> Iterator[tuple[Loc, str, Mapping[str, str]]]:
    policy = subject.policy
    for language, text in policy.message.items():
        yield ("message", language), text, {}
    for loc, rule in subject.rules():
        for language, text in rule.message.items():
            yield (*loc, "message", language), text, _tags(rule)
    if not policy.message and any(not rule.message for rule in policy.rules):
        for text in BUILT_IN_MESSAGE.values():
            yield ("name",), text, {}


def _tags(rule: Rule) -> dict[str, str]:
    """Tags of a text that the rule is asked about."""
    return {name: min(values) for name, values in rule.when.tags} if rule.when else {}


def _stopped_by(policy: Policy, screen: Screen, text: str, tags: Mapping[str, str]) -> str:
    """The rules that do not allow a text as an answer, whatever the policy's mode; empty if it may pass."""
    try:
        decision = screen(Content(text, direction=Direction.OUTPUT, policy=policy.name, tags=tags))
    except GuardError as error:
        return f"it cannot be screened: {error}"
    enforced = replace(policy, mode=Mode.ENFORCE)
    outcome = evaluate(
        enforced, Direction.OUTPUT, decision.scores, decision.detections, language=decision.language, tags=tags
    )
    if outcome.action is Action.ALLOW:
        return ""
    by = {rule.id for rule in outcome.acting}
    return f"{outcome.action} by " + ", ".join(
        f"{r.id} {r.score:.2f} >= {r.threshold:g}" for r in outcome.rules if r.id in by
    )
