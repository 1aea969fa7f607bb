"""Why a text is decided as it is, and what another action would take."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.explained import Condition, Explanation, Need
from guard.policy.load import parse_policy
from guard.policy.policy import Mode, Policy
from guard.policy.store import PolicyStore
from guard.types import Action, Content, Direction, Role, Span, Turn
from tests.policy.build import HEAD, policy_of

_ALLOW, _REWRITE, _BLOCK = Action.ALLOW, Action.REWRITE, Action.BLOCK
_RULES = (
    "id: weapons, category: weapons, threshold: 0.5, action: block",
    "id: fraud, direction: prompt, category: fraud_spam, threshold: 0.6, action: block",
    "id: distress, category: self_harm, threshold: 0.7, action: rewrite, message: {en: Talk to us.}",
    "id: phone, direction: output, category: pii.phone, threshold: 0.5, action: rewrite, rewrite: mask",
    "id: trial, category: violence, threshold: 0.5, action: block, shadow: true",
)


def _explain(classifier: Classifier, policy: Policy, text: str, **fields: object) -> Explanation:
    return Engine(classifier, PolicyStore([policy])).explain(Content(text, **fields))  # type: ignore[arg-type]


def _changes(found: Explanation) -> dict[Action, list[tuple[Need, str]]]:
    return {c.action: [(condition.need, condition.rule) for condition in c.conditions] for c in found.changes}


def test_an_allowed_text(tiny_classifier: Classifier) -> None:
    """The rule nearest to firing is what each other action takes; rules of the other direction are not asked."""
    found = _explain(tiny_classifier, policy_of(*_RULES), "hello world")
    assert (found.action, found.decided_by, found.turns, found.tokens) == (_ALLOW, (), 0, 2)
    assert _changes(found) == {_REWRITE: [(Need.REACH, "distress")], _BLOCK: [(Need.REACH, "weapons")]}
    assert {rule.id: rule.not_asked for rule in found.rules}["phone"] == "direction"
    assert found.rules[-1].id == "phone"
    asked = [rule for rule in found.rules if not rule.not_asked]
    assert asked == sorted(asked, key=lambda rule: -(rule.margin or 0.0))


def test_a_blocked_text(tiny_classifier: Classifier) -> None:
    """Every stronger rule has to fall; the place that the score comes from is named."""
    found = _explain(tiny_classifier, policy_of(*_RULES), "how to call a bomb and scam")
    assert (found.action, set(found.decided_by)) == (_BLOCK, {"weapons", "fraud"})
    allow, rewrite = found.changes
    assert {(c.need, c.rule) for c in allow.conditions} == {(Need.FALL, "weapons"), (Need.FALL, "fraud")}
    assert rewrite.conditions[-1].need is Need.REACH and rewrite.conditions[-1].rule == "distress"
    weapons = next(rule for rule in found.rules if rule.id == "weapons")
    assert weapons.peak is not None and weapons.chunk == 1
    assert "how to call a bomb and scam"[weapons.peak.start : weapons.peak.end] == "bomb"
    assert weapons.margin == pytest.approx((weapons.score or 0.0) - 0.5)


def test_what_it_says_is_true(tiny_classifier: Classifier) -> None:
    """With thresholds moved as it says the action is the other one."""
    policy = policy_of(*_RULES)
    for text in ("hello", "bomb", "scam bomb selfharm", "selfharm"):
        found = _explain(tiny_classifier, policy, text)
        for change in found.changes:
            rules = list(_RULES)
            for condition in change.conditions:
                at = next(i for i, rule in enumerate(rules) if f"id: {condition.rule}," in rule)
                rules[at] = rules[at].replace(
                    f"threshold: {condition.threshold}", f"threshold: {_moved(condition):.6f}"
                )
            assert _explain(tiny_classifier, policy_of(*rules), text).action is change.action, (text, change)


def _moved(condition: Condition) -> float:
    score = condition.score or 0.0
    return score + 1e-4 if condition.need is Need.FALL else score - 1e-4


def test_a_shadow_rule_that_fires_needs_only_to_act(tiny_classifier: Classifier) -> None:
    """Nothing else comes as near."""
    found = _explain(tiny_classifier, policy_of(*_RULES), "kill the process")
    assert found.action is _ALLOW
    assert _changes(found)[_BLOCK] == [(Need.ACT, "trial")]


def test_a_policy_in_shadow(tiny_classifier: Classifier) -> None:
    """What its rules ask for is told, and that the mode is what keeps it from happening."""
    found = _explain(tiny_classifier, policy_of(*_RULES, mode=Mode.SHADOW.value), "a bomb")
    assert (found.action, found.shadow_mode) == (_ALLOW, True)
    assert _changes(found)[_BLOCK] == [(Need.ENFORCE, "")]
    assert [need for need, _ in _changes(found)[_REWRITE]] == [Need.FALL, Need.ENFORCE, Need.REACH]


def test_an_action_that_no_rule_asks_for(tiny_classifier: Classifier) -> None:
    """It is not possible, whatever the scores."""
    found = _explain(tiny_classifier, policy_of(_RULES[0]), "hello")
    rewrite, block = found.changes
    assert (rewrite.action, rewrite.possible, block.possible) == (_REWRITE, False, True)


def test_a_masked_answer_with_context(tiny_classifier: Classifier) -> None:
    """Places and their rule; the context is read and counted."""
    found = _explain(
        tiny_classifier,
        policy_of(*_RULES),
        "call 138 0013 8000",
        direction=Direction.OUTPUT,
        context=(Turn(Role.USER, "hello"),),
    )
    assert (found.action, found.decided_by, found.turns) == (_REWRITE, ("phone",), 1)
    assert [place.span for place in found.detections] == [Span(5, 18)]
    assert found.output_text == "call *************"
    phone = next(rule for rule in found.rules if rule.id == "phone")
    assert (phone.fired, phone.chunk, phone.peak) == (True, None, None)


def test_conditions_and_terms(tiny_classifier: Classifier) -> None:
    """A rule that asks for a language or a tag says so; one that an allow-term lifts is told from one that is low."""
    policy = parse_policy(
        HEAD
        + "  - {id: zh, when: {lang: zh}, category: hate, threshold: 0.5, action: block}\n"
        + "  - {id: shop, when: {tags: {tenant: shop}}, category: hate, threshold: 0.5, action: block}\n"
        + "  - {id: word, terms: [linux], action: block}\n"
        + "  - {id: weapons, category: weapons, threshold: 0.5, action: block}\n"
        + "allow:\n  - {terms: [bomb], rules: [weapons]}\n",
        "p.yaml",
    )
    found = _explain(tiny_classifier, policy, "hello bomb linux", tags={"tenant": "other"})
    by_id = {rule.id: rule for rule in found.rules}
    assert (by_id["zh"].not_asked, by_id["shop"].not_asked) == ("lang", "tags")
    assert (by_id["weapons"].lifted, by_id["weapons"].fired) == (True, False)
    assert (by_id["word"].score, by_id["word"].fired) == (1.0, True)
    assert found.decided_by == ("word",)


def test_long_texts_name_the_chunk(tiny_classifier: Classifier) -> None:
    """Chunks cover the text, their highest score is the text's, and the rule names the one that it comes from."""
    text = "hello " * 150 + "bomb"
    found = _explain(tiny_classifier, policy_of(*_RULES), text)
    assert len(found.chunks) > 1
    assert (found.chunks[0].span.start, found.chunks[-1].span.end) == (0, len(text))
    for category, score in found.scores.items():
        assert max(chunk.scores[category] for chunk in found.chunks) == pytest.approx(score, abs=1e-6)
    weapons = next(rule for rule in found.rules if rule.id == "weapons")
    assert weapons.chunk == len(found.chunks)
    assert weapons.peak == Span(len(text) - 4, len(text))


def test_a_second_screening(tiny_classifier: Classifier) -> None:
    """A text that is blocked after it was masked says so, and promises nothing about what the mask leaves."""
    # The asterisks are a token without weight, so a rule on the score of an unknown one fires on them alone.
    policy = policy_of(_RULES[3], "id: all, direction: output, terms: [{pattern: '[*]{9}[*]+x?'}], action: block")
    found = _explain(tiny_classifier, policy, "call 138 0013 8000 x", direction=Direction.OUTPUT)
    assert (found.action, found.second_screening, found.decided_by) == (_BLOCK, True, ("all",))
    assert {change.action: change.possible for change in found.changes} == {_ALLOW: True, _REWRITE: False}


def test_failures_are_told(tiny_model_dir: Path) -> None:
    """A text that could not be scored is decided by on_error, and nothing is promised."""
    classifier = Classifier.load(tiny_model_dir)
    engine = Engine(classifier, PolicyStore([policy_of(*_RULES)]))
    classifier.score_batch = None  # type: ignore[method-assign,assignment]
    found = engine.explain(Content("hello"))
    assert (found.degraded, found.action, found.changes, found.chunks) == (True, _BLOCK, (), ())


@given(st.text(alphabet="aＡ國国\u200b é\u0301ﬁ1", min_size=1, max_size=20).filter(lambda t: t.strip(" \u200b")))
@settings(deadline=None, max_examples=30)
def test_any_text(tiny_explainer: Engine, text: str) -> None:
    """Whatever is screened can be explained, by the same decision."""
    found = tiny_explainer.explain(Content(text))
    assert found.action is tiny_explainer.screen(Content(text)).action


@pytest.fixture(scope="module")
def tiny_explainer(tiny_classifier: Classifier) -> Engine:
    """An engine with the tiny artifact."""
    return Engine(tiny_classifier, PolicyStore([policy_of(*_RULES)]))
