"""Allow-terms: they lift the rules that they name where the term alone was the reason, and never anything else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier
from guard.content import make_content
from guard.engine import Engine
from guard.normalize import normalize
from guard.policy.allow import doubts, lifted, texts_without, with_terms
from guard.policy.evaluate import evaluate
from guard.policy.load import parse_policy
from guard.policy.policy import Policy
from guard.policy.store import PolicyStore
from guard.policy.terms import detections
from guard.types import Action, Decision, Direction, Span

_TEXT = """\
version: 1
name: default
rules:
  - {id: weapons, category: weapons, threshold: 0.5, action: block}
  - {id: violence, category: violence, threshold: 0.5, action: block}
  - {id: overall, category: noncompliant, threshold: 0.5, action: block}
  - {id: phone, category: pii.phone, threshold: 0.5, action: rewrite, rewrite: mask}
  - {id: rival, terms: [acme], action: rewrite}
"""
_ALLOW = """\
allow:
  - {terms: [the bomb, 炸弹人, bomb shelter], rules: [weapons, overall]}
  - {terms: [kill bill], rules: [violence]}
  - {terms: ["13800138000"], rules: [phone]}
  - {terms: [acme street], rules: [rival]}
"""
_POLICY = parse_policy(_TEXT + _ALLOW, "p.yaml")
_PLAIN = parse_policy(_TEXT, "p.yaml")
_TERMS = ("the bomb", "炸弹人", "bomb shelter", "kill bill", "13800138000", "acme street")


@pytest.fixture(scope="module")
def engine(tiny_classifier: Classifier) -> Engine:
    """The tiny model under a policy with allow-terms."""
    return Engine(tiny_classifier, PolicyStore([_POLICY]))


@pytest.fixture(scope="module")
def plain(tiny_classifier: Classifier) -> Engine:
    """The same policy without them."""
    return Engine(tiny_classifier, PolicyStore([_PLAIN]))


def _live(decision: Decision) -> set[str]:
    return {rule.id for rule in decision.rules}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("the bomb", set()),
        ("hello The  BOMB!", set()),
        ("我爱炸彈人", set()),
        ("the bomb the bomb", set()),
        ("bomb", {"weapons", "overall"}),
        ("the bombastic bomb", {"weapons", "overall"}),
        ("the bomb and a bomb", {"weapons", "overall"}),
        ("the bomb hateword", {"overall"}),
        ("the bomb kill", {"violence"}),
        ("kill bill", set()),
        ("kill bill kill", {"violence"}),
        ("kill bill bomb", {"weapons", "overall"}),
    ],
)
def test_a_term_lifts_its_rules_where_nothing_else_is_a_reason(engine: Engine, text: str, rules: set[str]) -> None:
    """What stands around the term decides, for the rules that it names; all others see the whole text."""
    decision = engine.screen(make_content(text))
    assert _live(decision) == rules
    assert decision.allowed is not bool(rules)


def test_the_decision_says_what_was_lifted(engine: Engine) -> None:
    """Scores stay those of the text; what decided each named rule, and where the term stands, is beside them."""
    decision = engine.screen(make_content("hello the bomb"))
    weapons, _, overall = _POLICY.rules[:3]
    assert decision.scores["weapons"] > 0.9 and decision.scores["noncompliant"] > 0.9
    assert decision.scores[weapons.allow_category] < 0.1 and decision.scores[overall.allow_category] < 0.1
    (found,) = decision.detections
    assert (found.category, found.span, found.source) == (weapons.allow_terms, Span(6, 14), "terms")


def test_a_text_without_the_term_is_scored_once(engine: Engine, plain: Engine) -> None:
    """Where no allow-term stands, the rule's own score is what decided it."""
    decision = engine.screen(make_content("a bomb"))
    assert decision.scores[_POLICY.rules[0].allow_category] == decision.scores["weapons"]
    assert _live(decision) == _live(plain.screen(make_content("a bomb")))


def test_a_recognized_place_is_lifted_inside_the_term_only(engine: Engine) -> None:
    """The shop's own number stays, every other one is covered."""
    decision = engine.screen(make_content("拨打 13800138000 或 13912345678", "output"))
    assert decision.output_text == "拨打 13800138000 或 ***********"
    assert engine.screen(make_content("拨打 13800138000", "output")).allowed


def test_a_deny_term_is_lifted_inside_the_allow_term_only(engine: Engine) -> None:
    """A word that is forbidden may stand in a longer one that is not."""
    assert engine.screen(make_content("hello Acme Street")).allowed
    decision = engine.screen(make_content("hello acme, acme street"))
    assert decision.output_text == "hello ****, acme street"


def test_a_slice_of_a_stream_is_lifted_as_a_text_is(engine: Engine) -> None:
    """A term in the context of a slice counts as it counts in a whole text."""
    opening = engine.open(make_content("x", "output"))
    assert engine.screen_slice(opening, "hello the bomb and world", Span(15, 24)).allowed
    assert not engine.screen_slice(opening, "hello the bomb and a bomb", Span(15, 25)).allowed


_WORDS = st.lists(
    st.sampled_from(["hello", "bomb", "the", "kill", "hateword", "炸", "弹", "我", "bill", ".", "acme", *_TERMS]),
    max_size=6,
)


@settings(deadline=None)
@given(_WORDS, st.lists(st.tuples(st.sampled_from(_TERMS), st.integers(0, 6)), min_size=1, max_size=3))
@example(["bomb"], [("the bomb", 1)])
@example(["炸", "弹"], [("炸弹人", 1)])
def test_no_allow_term_passes_what_its_absence_stops(
    engine: Engine, plain: Engine, words: list[str], added: list[tuple[str, int]]
) -> None:
    """Whatever the text and wherever allow-terms are added: a rule that fires without them fires with them."""
    assume(words)
    text = " ".join(words)
    assume(not any(term in text for term in _TERMS))
    longer = list(words)
    for term, at in added:
        longer.insert(min(at, len(longer)), term)
    before = _live(plain.screen(make_content(text)))
    assert before <= _live(engine.screen(make_content(" ".join(longer))))


def _noise(text: str) -> Mapping[str, float]:
    """A model without any sense: its scores follow from the bytes alone, so any word may turn any of them."""
    digest = hashlib.sha256(text.encode()).digest()
    return {name: digest[i] / 255 for i, name in enumerate(("weapons", "violence", "noncompliant"))}


def _rules_of(policy: Policy, text: str) -> set[str]:
    """The rules that fire when that model scores, as the engine asks it."""
    hits = policy.terms.find(text) if policy.terms else ()
    found = detections(hits, normalize(text))
    scores = with_terms(policy, _noise(text), found, hits)
    outcome = evaluate(policy, Direction.PROMPT, scores, found)
    for doubt in doubts(policy, outcome, text, hits):
        scores = lifted(doubt, scores, found, [_noise(variant) for variant in doubt.texts])
    return {rule.id for rule in evaluate(policy, Direction.PROMPT, scores, found).rules}


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef我你"), min_size=1, max_size=6), st.integers(0, 6), st.sampled_from(_TERMS))
def test_whatever_the_model_a_term_alone_lifts_nothing(words: list[str], at: int, term: str) -> None:
    """A rule is lifted only if it does not fire on the text without the term: no score can be diluted away."""
    text = " ".join(words)
    longer = " ".join([*words[:at], term, *words[at:]])
    with_allow, without = _rules_of(_POLICY, longer), _rules_of(_PLAIN, longer)
    assert with_allow <= without
    assert without - with_allow <= without - _rules_of(_PLAIN, text)


@settings(deadline=None)
@given(st.text("ab \n炸x", max_size=20), st.lists(st.integers(0, 20), max_size=6))
def test_what_is_cut_is_cut(text: str, borders: list[int]) -> None:
    """A text without its terms has all other characters, but for a space that stood beside one."""
    cuts = sorted({min(border, len(text)) for border in borders})
    places = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if a < b]
    assume(places)
    rest = "".join(c for i, c in enumerate(text) if not any(a <= i < b for a, b in places))
    found = texts_without(text, places)
    assert bool(found) is bool(rest.strip())
    for variant in found[1:]:
        assert variant.split() == rest.split() or "".join(variant.split()) == "".join(rest.split())
        assert len(rest) - len(places) <= len(variant) <= len(rest)


def test_a_failure_lifts_nothing() -> None:
    """Where the text cannot be scored again the rule stays."""
    text = "the bomb x"
    hits = _POLICY.terms.find(text) if _POLICY.terms else ()
    found = detections(hits, normalize(text))
    scores = with_terms(_POLICY, {"weapons": 0.9}, found, hits)
    (doubt,) = doubts(_POLICY, evaluate(_POLICY, Direction.PROMPT, scores, found), text, hits)
    assert doubt.texts == ("the item x", "x")
    for answers in ([None, {"weapons": 0.0}], [{"weapons": 0.0}, None]):
        settled = lifted(doubt, scores, found, answers)
        assert evaluate(_POLICY, Direction.PROMPT, settled, found).action is Action.BLOCK
    settled = lifted(doubt, scores, found, [{"weapons": 0.1}, {"weapons": 0.2}])
    assert settled[_POLICY.rules[0].allow_category] == 0.2
    assert evaluate(_POLICY, Direction.PROMPT, settled, found).action is Action.ALLOW
