"""Whatever a rewrite passes on, the same policy allows; what it took is told, and the rest stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier, Query, Scored
from guard.content import make_content
from guard.engine import Engine
from guard.errors import InvalidInput
from guard.normalize import normalize
from guard.placeholders import Numbers
from guard.policy.evaluate import Outcome, Place
from guard.policy.load import parse_policy
from guard.policy.policy import Rule
from guard.policy.store import PolicyStore
from guard.promise import MOST_ROUNDS, MOST_TRIALS, End, Rewriting, Seen
from guard.types import Action, Content, Decision, Direction, Operator, Role, Span, Turn

_MOBILE = "13800138000"


class _Recording(Classifier):
    """The tiny classifier, with a note of what it was asked."""

    calls: list[list[Query]]

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        self.calls.append(list(queries))
        return super().score_batch(queries)


@pytest.fixture(scope="module")
def classifier(tiny_model_dir: Path) -> _Recording:
    """A tiny classifier of this module's own."""
    loaded = _Recording.load(tiny_model_dir)
    assert isinstance(loaded, _Recording)
    loaded.calls = []
    return loaded


def _engine(classifier: Classifier, *rules: str) -> Engine:
    text = "version: 1\nname: default\nmessage: {en: policy words, zh: 政策的话}\nrules:\n"
    return Engine(classifier, PolicyStore([parse_policy(text + "".join(f"  - {{{r}}}\n" for r in rules), "p.yaml")]))


def _screen(classifier: Classifier, text: str, *rules: str, context: Sequence[Turn] = ()) -> Decision:
    return _engine(classifier, *rules).screen(Content(text, Direction.OUTPUT, tuple(context)))


def _put_together(text: str, decision: Decision) -> str:
    out, at = "", 0
    for done in decision.rewrites:
        out += text[at : done.span.start] + done.replacement
        at = done.span.end
    return out + text[at:]


_DROP_HATE = "id: hate, category: hate, threshold: 0.5, action: rewrite, rewrite: drop_sentence"
_REPLACE = "id: pii, category: pii, threshold: 0.5, action: rewrite, rewrite: replace"

# Sentences for the classifier's categories


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Hello world. The hateword is here. How is my process?", "Hello world. How is my process?"),
        ("The hateword. Hello world. How is my process?", "Hello world. How is my process?"),
        ("hello world\nhateword a\nhow to call linux\n", "hello world\nhow to call linux\n"),
        ("你好，我爱北京。hateword！北京天安门是好的？我爱你。", "你好，我爱北京。北京天安门是好的？我爱你。"),
        (
            "你好，我爱北京。ｈａｔｅ\u200bｗｏｒｄ！北京天安门是好的？我爱你。",
            "你好，我爱北京。北京天安门是好的？我爱你。",
        ),
    ],
)
def test_the_sentence_that_fires_goes(classifier: _Recording, text: str, kept: str) -> None:
    """One sentence is dropped, wherever it stands and whatever normalisation changed in it, and nothing else."""
    decision = _screen(classifier, text, _DROP_HATE)
    assert (decision.action, decision.output_text, decision.message) == (Action.REWRITE, kept, False)
    assert [(done.operator, done.category) for done in decision.rewrites] == [(Operator.DROP_SENTENCE, "hate")]
    assert _put_together(text, decision) == kept


def test_several_sentences_go(classifier: _Recording) -> None:
    """As many sentences as it takes, and no more."""
    text = "Hello world. The hateword. How is linux? A hateword! My process is a process. I call the world."
    decision = _screen(classifier, text, _DROP_HATE)
    assert decision.output_text == "Hello world. How is linux? My process is a process. I call the world."
    assert len(decision.rewrites) == 2


class _Shy(Classifier):
    """The tiny classifier, which overlooks a hateword that stands alone in a text of some length."""

    queries: list[Query]
    breaks_on = "\0"

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        self.queries += queries
        if any(query.text == self.breaks_on for query in queries):
            raise RuntimeError
        return super().score_batch([replace(query, text=self._seen(query.text)) for query in queries])

    @staticmethod
    def _seen(text: str) -> str:
        return text.replace("hateword", "hello") if text.count("hateword") == 1 and len(text) > 40 else text


@pytest.fixture
def shy(classifier: _Recording) -> _Shy:
    """One of the test's own."""
    own = _Shy(classifier.artifact, classifier._chunker, classifier._session)
    own.queries = []
    return own


_TWO = "Hello world. The hateword. How is linux? A hateword! My process is a process. I call the world."


@pytest.mark.parametrize("breaks_on", ["\0", "The hateword. ", "A hateword! "])
def test_no_sentence_stays_that_is_minded_alone(shy: _Shy, breaks_on: str) -> None:
    """A text may pass without one of two sentences; the other one goes as well, also where it cannot be screened."""
    shy.breaks_on = breaks_on
    decision = _screen(shy, _TWO, _DROP_HATE)
    assert decision.output_text == "Hello world. How is linux? My process is a process. I call the world."
    assert (decision.action, len(decision.rewrites), decision.degraded) == (Action.REWRITE, 2, False)


def test_a_sentence_alone_is_without_what_came_before(shy: _Shy) -> None:
    """What a person asked is read with the text, and not held against each of its sentences."""
    _screen(shy, _TWO, _DROP_HATE, context=[Turn(Role.USER, "hello")])
    alone = [query for query in shy.queries if query.text.strip() in {"The hateword.", "A hateword!"}]
    assert alone and not any(query.context for query in alone)
    assert all(query.context for query in shy.queries if query not in alone)


def test_what_is_minded_alone_blocks_where_too_little_would_stay(shy: _Shy) -> None:
    """A text that could pass with a sentence that is minded alone, and has too little without it, is blocked."""
    text = "The hateword and a hateword of my linux. A hateword of my own world. Hello my own world."
    assert _screen(shy, text, _DROP_HATE).action is Action.BLOCK


def test_more_sentences_than_one_pass_takes(classifier: _Recording) -> None:
    """A second pass goes on where the first one ended."""
    text = "".join(f"A hateword. Hello world, how is my linux process {number}? " for number in range(6))
    decision = _screen(classifier, text, _DROP_HATE)
    assert decision.action is Action.REWRITE and "hateword" not in decision.output_text
    assert len(decision.rewrites) == 6


@pytest.mark.parametrize("text", ["The hateword.", "hateword a b c. hello", "The hateword, my world. Hello."])
def test_what_would_leave_little_is_blocked(classifier: _Recording, text: str) -> None:
    """Less than half of a text is no answer any more: it is blocked."""
    decision = _screen(classifier, text, _DROP_HATE)
    assert (decision.action, decision.output_text, decision.rewrites) == (Action.BLOCK, "policy words", ())


def test_a_mark_may_stand_for_a_sentence(classifier: _Recording) -> None:
    """drop_sentence may leave a text of the policy's in the place."""
    rule = _DROP_HATE.replace("drop_sentence", '{operator: drop_sentence, text: "[...] "}')
    decision = _screen(classifier, "Hello world. The hateword. How is my process?", rule)
    assert decision.output_text == "Hello world. [...] How is my process?"


@pytest.mark.parametrize(("operator", "kept"), [("mask", "Hello world. " + "*" * 14 + "Bye."), ("replace", None)])
def test_sentences_may_be_covered_instead(classifier: _Recording, operator: str, kept: str | None) -> None:
    """Mask and replace treat a sentence like any place."""
    decision = _screen(classifier, "Hello world. The hateword. Bye.", _DROP_HATE.replace("drop_sentence", operator))
    assert decision.output_text == (kept or "Hello world. <HATE_1>Bye.")


def test_a_rule_that_blocks_wins(classifier: _Recording) -> None:
    """Where another rule blocks nothing is rewritten."""
    rule = "id: other, category: noncompliant, threshold: 0.5, action: block"
    decision = _screen(classifier, "Hello world. The hateword. How is my process?", _DROP_HATE, rule)
    assert decision.action is Action.BLOCK and decision.rewrites == ()


def test_the_context_alone_cannot_be_rewritten(classifier: _Recording) -> None:
    """Where no sentence can be found whose loss helps the text is blocked, after a bounded number of screenings."""

    class Sure(_Recording):
        def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
            scored = super().score_batch([Query(f"{query.text} hateword", query.direction) for query in queries])
            self.asked += len(queries)
            return scored

        asked = 0

    sure = Sure(classifier.artifact, classifier._chunker, classifier._session)
    sure.calls = []
    decision = _screen(sure, "Hello world. " * 40, _DROP_HATE)
    assert decision.action is Action.BLOCK
    assert sure.asked <= 1 + MOST_ROUNDS * MOST_TRIALS


# Harder operators


def test_a_mask_that_fires_loses_its_sentence(classifier: _Recording) -> None:
    """A fixed text that fires by itself does not help: the sentence goes."""
    rules = (
        'id: mail, category: pii.email, threshold: 0.5, action: rewrite, rewrite: {operator: mask, text: "b@c.cn"}',
    )
    text = "Hello world, how is my process? Mail a@example.com. I call the world."
    decision = _screen(classifier, text, *rules)
    assert decision.output_text == "Hello world, how is my process? I call the world."
    assert [done.operator for done in decision.rewrites] == [Operator.DROP_SENTENCE]


def test_places_and_sentences_combine(classifier: _Recording) -> None:
    """What recognizers found is covered where it stays, and goes with a sentence that goes."""
    text = f"Hello, call {_MOBILE}. The hateword, call 13912345678. How is my process? Mail a@example.com, my world."
    decision = _screen(classifier, text, _DROP_HATE, _REPLACE)
    assert decision.output_text == "Hello, call <PHONE_1>. How is my process? Mail <EMAIL_1>, my world."
    assert [done.operator for done in decision.rewrites] == ["replace", "drop_sentence", "replace"]
    assert _put_together(text, decision) == decision.output_text


def test_a_dropped_place_takes_its_sentence(classifier: _Recording) -> None:
    """drop_sentence on personal data drops the sentence that it stands in."""
    rule = "id: pii, category: pii, threshold: 0.5, action: rewrite, rewrite: drop_sentence"
    decision = _screen(classifier, f"Hello world, how is it? Call {_MOBILE}. Linux is a process.", rule)
    assert decision.output_text == "Hello world, how is it? Linux is a process."


def test_a_template_beside_a_rewrite_answers(classifier: _Recording) -> None:
    """Where a template fires the message stands for the text, whatever else could be rewritten."""
    rule = "id: help, category: self_harm, threshold: 0.5, action: rewrite, message: {en: help}"
    decision = _screen(classifier, f"selfharm. Call {_MOBILE}.", _REPLACE, rule)
    assert (decision.action, decision.output_text, decision.message) == (Action.REWRITE, "help", True)
    assert decision.rewrites == ()


# Placeholders


def test_numbers_follow_the_conversation(classifier: _Recording) -> None:
    """A value that stood in the context has the number of its place there, whoever decides it."""
    context = (Turn(Role.USER, f"I am at {_MOBILE} or 139 1234 5678."), Turn(Role.ASSISTANT, "As <PHONE_3> you say"))
    decision = _screen(classifier, f"Call 13912345678, 13700000001 or {_MOBILE}.", _REPLACE, context=context)
    assert decision.output_text == "Call <PHONE_2>, <PHONE_4> or <PHONE_1>."


# The promise

_CATEGORIES = ("hate", "weapons", "fraud_spam", "noncompliant", "violence", "pii", "pii.phone", "pii.email")
_OPERATORS = ("mask", "replace", "drop_sentence", "template", '{operator: mask, text: "#"}', "partial")


@st.composite
def _rules(draw: st.DrawFn) -> list[str]:
    out = []
    for number in range(draw(st.integers(1, 5))):
        category = draw(st.sampled_from(_CATEGORIES))
        action = draw(st.sampled_from(["rewrite", "rewrite", "rewrite", "block", "allow"]))
        operator = draw(st.sampled_from(_OPERATORS if category.startswith("pii") else _OPERATORS[:-1]))
        how = f", rewrite: {operator}" if action == "rewrite" else ""
        shadow = ", shadow: true" if draw(st.booleans()) and draw(st.booleans()) else ""
        threshold = draw(st.sampled_from([0.5, 0.7, 0.9]))
        out.append(f"id: r{number}, category: {category}, threshold: {threshold}, action: {action}{how}{shadow}")
    return out


_PIECES = st.sampled_from(
    [
        "Hello world. ",
        "The hateword! ",
        "a bomb",
        "kill",
        "scam ",
        "。",
        "\n",
        "你好",
        "炸弹",
        "诈骗！",
        "ｂｏｍｂ ",
        "\u200b",
        " ",
        "call 138 0013 8000. ",
        "a@example.com",
        "１３９１２３４５６７８ ",
        "How is my process? ",
        "我爱北京。",
        "<PHONE_1>",
        "e\u0301",
    ]
)


@given(_rules(), st.lists(_PIECES, min_size=1, max_size=12).map("".join))
def test_no_rewrite_carries_what_its_policy_does_not_allow(classifier: _Recording, rules: list[str], text: str) -> None:
    """For any policy and text: what a rewrite passes on the same policy allows, and what it did is told exactly."""
    engine = _engine(classifier, *rules)
    result = engine.screen_batch([Content(text, Direction.OUTPUT)])[0]
    if isinstance(result, InvalidInput):
        return
    assert isinstance(result, Decision) and not result.degraded
    if result.action is not Action.REWRITE or result.message:
        assert result.rewrites == ()
        return
    assert result.rewrites and _put_together(text, result) == result.output_text
    again = engine.screen(make_content(result.output_text, "output"))
    assert again.action is Action.ALLOW and again.output_text == result.output_text


# The way, step by step


def _seen(classifier: Classifier, text: str, places: Sequence[Span], rule: Rule) -> Seen:
    outcome = Outcome(Action.REWRITE, (), (rule,), tuple(Place(span, "pii.phone", rule.id) for span in places))
    return Seen(outcome, classifier.score(Query(text, Direction.OUTPUT)), normalize(text))


@pytest.mark.parametrize("first", [Operator.PARTIAL, Operator.REPLACE])
def test_every_operator_has_its_turn(classifier: _Recording, first: Operator) -> None:
    """What is found again at the same place is masked, then dropped with its sentence, and then blocked."""
    text = "Hello world, my linux process. Call 13800138000. Hello world."
    rule = Rule("a", None, "pii", 0.5, Action.REWRITE, first)
    at = text.index(_MOBILE)
    seen = _seen(classifier, text, [Span(at, at + 11)], rule)
    rewriting = Rewriting(text, seen, classifier.artifact.categories, Numbers)
    operators = []
    while rewriting.end is None:
        (version,) = rewriting.candidates
        (done,) = version.rewrites
        operators.append(done.operator)
        # Found again, with a character of the text on either side.
        found = Span(done.span.start - 1, done.span.start + len(done.replacement) + 1)
        rewriting.take([_seen(classifier, version.text, [found], rule)])
    assert operators == [first, Operator.MASK, Operator.DROP_SENTENCE]
    assert (rewriting.end, rewriting.chosen) == (End.BLOCKED, None)


def test_what_could_not_be_screened_is_unsure(classifier: _Recording) -> None:
    """A version without a result is neither allowed nor blocked here: on_error decides about it."""
    text = "Call 13800138000."
    rule = Rule("a", None, "pii", 0.5, Action.REWRITE, Operator.MASK)
    rewriting = Rewriting(text, _seen(classifier, text, [Span(5, 16)], rule), classifier.artifact.categories, Numbers)
    rewriting.take([None])
    assert rewriting.end is End.UNSURE and rewriting.chosen is not None
    assert rewriting.chosen.text == "Call ***********."
