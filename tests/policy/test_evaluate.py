"""Decisions: every matching rule fires, the strongest action wins."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InternalError
from guard.policy.evaluate import BUILT_IN_MESSAGE, Outcome, evaluate, message_for
from guard.policy.load import parse_policy
from guard.policy.policy import Mode, Operator, Policy, Rule
from guard.types import CATEGORIES, RECOGNIZER_CATEGORIES, Action, Detection, Direction, FiredRule, Span
from tests.policy.build import policy_of

_PROMPT, _OUTPUT = Direction.PROMPT, Direction.OUTPUT


def _ids(outcome: Outcome) -> list[str]:
    return [rule.id for rule in outcome.rules]


def _phone(start: int, end: int, score: float = 0.9) -> Detection:
    return Detection("pii.phone", Span(start, end), score, "phone")


def test_nothing_fires_and_the_text_is_allowed() -> None:
    """A text below every threshold passes."""
    policy = policy_of("id: a, category: hate, threshold: 0.5, action: block")
    assert evaluate(policy, _PROMPT, {"hate": 0.49}, ()) == Outcome(Action.ALLOW, (), ())


def test_a_rule_fires_at_its_threshold() -> None:
    """Score >= threshold fires, with the score, category and threshold as evidence."""
    policy = policy_of("id: a, category: hate, threshold: 0.5, action: block")
    outcome = evaluate(policy, _PROMPT, {"hate": 0.5, "violence": 1.0}, ())
    assert outcome.rules == (FiredRule("a", "hate", 0.5, 0.5, Action.BLOCK, False),)
    assert (outcome.action, outcome.acting) == (Action.BLOCK, policy.rules)


def test_every_matching_rule_fires_and_the_strongest_action_wins() -> None:
    """Weaker rules are reported beside the one that decides."""
    policy = policy_of(
        "id: report, category: hate, threshold: 0.1, action: allow",
        "id: block, category: hate, threshold: 0.5, action: block",
        "id: rewrite, category: hate, threshold: 0.3, action: rewrite",
    )
    outcome = evaluate(policy, _PROMPT, {"hate": 0.6}, ())
    assert _ids(outcome) == ["report", "block", "rewrite"]
    assert outcome.action is Action.BLOCK
    assert [rule.id for rule in outcome.acting] == ["block"]
    assert evaluate(policy, _PROMPT, {"hate": 0.4}, ()).action is Action.REWRITE
    assert evaluate(policy, _PROMPT, {"hate": 0.2}, ()).action is Action.ALLOW


@pytest.mark.parametrize(
    ("rule", "prompt", "output"), [("prompt", True, False), ("output", False, True), ("both", True, True)]
)
def test_a_rule_looks_only_at_its_direction(rule: str, prompt: bool, output: bool) -> None:
    """Direction is a condition of the rule."""
    policy = policy_of(f"id: a, direction: {rule}, category: hate, threshold: 0.5, action: block")
    assert bool(evaluate(policy, _PROMPT, {"hate": 1.0}, ()).rules) is prompt
    assert bool(evaluate(policy, _OUTPUT, {"hate": 1.0}, ()).rules) is output


def test_a_parent_matches_its_children_and_names_the_strongest() -> None:
    """``pii`` fires once, for the child that scores highest."""
    policy = policy_of("id: a, category: pii, threshold: 0.5, action: block")
    outcome = evaluate(policy, _PROMPT, {"pii.email": 0.7}, [_phone(0, 3, 0.8)])
    assert outcome.rules == (FiredRule("a", "pii.phone", 0.8, 0.5, Action.BLOCK, False),)


def test_a_child_does_not_match_its_parent_or_its_siblings() -> None:
    """``pii.phone`` says nothing about ``pii.email``, nor ``sexual`` about ``sexual_minors``."""
    policy = policy_of(
        "id: a, category: pii.phone, threshold: 0.5, action: block",
        "id: b, category: sexual, threshold: 0.5, action: block",
    )
    assert not evaluate(policy, _PROMPT, {"pii": 1.0, "pii.email": 1.0, "sexual_minors": 1.0}, ()).rules


def test_noncompliant_is_an_ordinary_category() -> None:
    """``noncompliant`` has a score of its own and is no parent."""
    policy = policy_of("id: a, category: noncompliant, threshold: 0.5, action: block")
    assert not evaluate(policy, _PROMPT, {"hate": 1.0, "noncompliant": 0.4}, ()).rules
    assert evaluate(policy, _PROMPT, {"hate": 0.0, "noncompliant": 0.6}, ()).action is Action.BLOCK


def test_a_category_without_a_score_never_fires() -> None:
    """Even threshold 0 needs a score to compare with."""
    policy = policy_of("id: a, category: pii, threshold: 0, action: block")
    assert not evaluate(policy, _PROMPT, {"hate": 1.0}, ()).rules


def test_the_higher_of_score_and_detection_counts() -> None:
    """A category's score and its detections' are one number: the highest."""
    policy = policy_of("id: a, category: pii.phone, threshold: 0.5, action: block")
    assert evaluate(policy, _PROMPT, {"pii.phone": 0.6}, [_phone(0, 2, 0.2)]).rules[0].score == 0.6
    assert evaluate(policy, _PROMPT, {"pii.phone": 0.2}, [_phone(0, 2, 0.6)]).rules[0].score == 0.6


def test_a_shadow_rule_is_reported_and_does_not_act() -> None:
    """Shadow rules fire beside the others without changing the action."""
    policy = policy_of(
        "id: trial, category: hate, threshold: 0.5, action: block, shadow: true",
        "id: live, category: hate, threshold: 0.5, action: rewrite",
    )
    outcome = evaluate(policy, _PROMPT, {"hate": 0.9}, ())
    assert [(rule.id, rule.shadow) for rule in outcome.rules] == [("trial", True), ("live", False)]
    assert outcome.action is Action.REWRITE
    assert [rule.id for rule in outcome.acting] == ["live"]


def test_a_policy_in_shadow_reports_everything_and_allows() -> None:
    """In mode shadow every fired rule is a shadow rule and the text passes."""
    policy = policy_of("id: a, category: hate, threshold: 0.5, action: block", mode="shadow")
    outcome = evaluate(policy, _PROMPT, {"hate": 0.9}, ())
    assert outcome.action is Action.ALLOW and outcome.acting == () and outcome.spans == ()
    assert [(rule.id, rule.shadow, rule.action) for rule in outcome.rules] == [("a", True, Action.BLOCK)]


def test_mask_rules_give_the_spans_of_what_they_match() -> None:
    """Spans are sorted, once each, of the rule's categories and over its threshold only."""
    policy = policy_of("id: a, category: pii.phone, threshold: 0.5, action: rewrite, rewrite: mask")
    email = Detection("pii.email", Span(30, 40), 1.0, "email")
    outcome = evaluate(policy, _OUTPUT, {}, [_phone(9, 12), email, _phone(2, 5), _phone(2, 5), _phone(20, 25, 0.4)])
    assert outcome.action is Action.REWRITE
    assert outcome.spans == (Span(2, 5), Span(9, 12))


def test_a_template_beside_a_mask_replaces_the_whole_text() -> None:
    """Where a message answers instead of the text, there is nothing left to mask."""
    policy = policy_of(
        "id: a, category: pii, threshold: 0.5, action: rewrite, rewrite: mask",
        "id: b, category: self_harm, threshold: 0.5, action: rewrite, message: {en: help}",
    )
    outcome = evaluate(policy, _OUTPUT, {"self_harm": 0.9}, [_phone(0, 3)])
    assert outcome.action is Action.REWRITE and outcome.spans == ()
    assert message_for(policy, outcome, "en") == "help"


def test_a_block_gives_no_spans() -> None:
    """A blocked text is not masked as well."""
    policy = policy_of(
        "id: a, category: pii, threshold: 0.5, action: rewrite, rewrite: mask",
        "id: b, category: hate, threshold: 0.5, action: block",
    )
    assert evaluate(policy, _OUTPUT, {"hate": 0.9}, [_phone(0, 3)]).spans == ()


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_allows_nothing(score: float) -> None:
    """NaN is below every threshold, so it must not be compared: the text counts as unscreened."""
    policy = policy_of("id: a, category: hate, threshold: 0.5, action: block")
    with pytest.raises(InternalError, match="violence"):
        evaluate(policy, _PROMPT, {"hate": 0.1, "violence": score}, ())
    with pytest.raises(InternalError, match=r"pii\.phone"):
        evaluate(policy, _PROMPT, {}, [_phone(0, 1, score)])


_MESSAGES = (
    "id: report, category: violence, threshold: 0.5, action: allow, message: {en: never shown}",
    "id: trial, category: crime, threshold: 0.5, action: block, shadow: true, message: {en: never shown}",
    "id: plain, category: noncompliant, threshold: 0.5, action: block",
    "id: help, category: self_harm, threshold: 0.5, action: rewrite, message: {en: help words, zh: 帮助的话}",
    "id: first, category: hate, threshold: 0.5, action: block, message: {zh: 第一}",
    "id: second, category: hate, threshold: 0.5, action: block, message: {en: second}",
)


@pytest.mark.parametrize(
    ("fired", "language", "message"),
    [
        (["noncompliant"], "en", "policy words"),
        (["noncompliant"], "zh", "政策的话"),
        (["noncompliant"], "other", "policy words"),
        (["self_harm"], "zh", "帮助的话"),
        (["self_harm", "noncompliant"], "en", "help words"),
        (["self_harm", "hate"], "zh", "第一"),
        (["hate"], "en", "第一"),
        (["noncompliant", "violence", "crime"], "en", "policy words"),
    ],
)
def test_the_message_is_the_most_particular_one(fired: list[str], language: str, message: str) -> None:
    """The strongest acting rule with words of its own, then the policy's; in the language, else in the one it has."""
    policy = policy_of(*_MESSAGES)
    outcome = evaluate(policy, _PROMPT, dict.fromkeys(fired, 1.0), ())
    assert message_for(policy, outcome, language) == message


def test_without_any_message_the_built_in_one_is_shown() -> None:
    """A policy without words still answers in the language of the text."""
    rule = "{id: a, category: hate, threshold: 0.5, action: block}"
    policy = parse_policy(f"version: 1\nname: p\nrules: [{rule}]\n", "p.yaml")
    outcome = evaluate(policy, _PROMPT, {"hate": 1.0}, ())
    assert [message_for(policy, outcome, language) for language in ("zh", "en", "other")] == [
        BUILT_IN_MESSAGE["zh"], BUILT_IN_MESSAGE["en"], BUILT_IN_MESSAGE["en"]
    ]  # fmt: skip


_ALL = (*CATEGORIES, *RECOGNIZER_CATEGORIES)
_unit = st.floats(0, 1)
_rules = st.builds(
    Rule,
    id=st.uuids().map(str),
    direction=st.sampled_from([None, *Direction]),
    category=st.sampled_from(_ALL),
    threshold=_unit,
    action=st.sampled_from(Action),
    rewrite=st.sampled_from([None, *Operator]),
    shadow=st.booleans(),
)
_policies = st.builds(
    lambda rules, mode: Policy("p", 1, "0" * 12, "", mode, Action.BLOCK, {}, tuple(rules), "p.yaml"),
    st.lists(_rules, max_size=8),
    st.sampled_from(Mode),
)
_scores = st.dictionaries(st.sampled_from(_ALL), _unit, max_size=6)
_spans = st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
_detections = st.lists(
    st.builds(Detection, st.sampled_from(RECOGNIZER_CATEGORIES), _spans, _unit, st.just("test")), max_size=4
)


@given(_policies, st.sampled_from(Direction), _scores, _detections)
def test_the_action_is_the_strongest_of_the_rules_that_act(
    policy: Policy, direction: Direction, scores: dict[str, float], detections: list[Detection]
) -> None:
    """For any policy and scores: fired is what reached its threshold, and the action follows from it alone."""
    outcome = evaluate(policy, direction, scores, detections)
    assert all(fired.score >= fired.threshold for fired in outcome.rules)
    live = [fired.action.strength for fired in outcome.rules if not fired.shadow]
    assert outcome.action.strength == max(live, default=0)
    assert bool(outcome.acting) is bool(live)
    assert set(outcome.spans) <= {detection.span for detection in detections}


@given(_policies, st.sampled_from(Direction), _scores, _detections, st.randoms(use_true_random=False))
def test_the_order_of_rules_and_detections_decides_nothing(
    policy: Policy, direction: Direction, scores: dict[str, float], detections: list[Detection], shuffle: random.Random
) -> None:
    """Shuffled rules and detections give the same action, the same spans and the same fired rules."""
    rules, places = list(policy.rules), list(detections)
    shuffle.shuffle(rules)
    shuffle.shuffle(places)
    other = Policy("p", 1, "0" * 12, "", policy.mode, Action.BLOCK, {}, tuple(rules), "p.yaml")
    first, second = evaluate(policy, direction, scores, detections), evaluate(other, direction, scores, places)
    assert (first.action, first.spans) == (second.action, second.spans)
    assert {(r.id, r.score) for r in first.rules} == {(r.id, r.score) for r in second.rules}


@given(_policies, st.sampled_from(Direction), _scores, st.sampled_from(_ALL), _unit)
def test_a_higher_score_never_weakens_the_action(
    policy: Policy, direction: Direction, scores: dict[str, float], category: str, more: float
) -> None:
    """Raising any score keeps every fired rule and can only make the action stronger."""
    raised = {**scores, category: max(scores.get(category, 0.0), more)}
    before, after = evaluate(policy, direction, scores, ()), evaluate(policy, direction, raised, ())
    assert after.action.strength >= before.action.strength
    assert set(_ids(before)) <= set(_ids(after))
