"""Rewrites in streams: sentences that go before they were seen, names that stay the same, lengths that change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier, Query, Scored
from guard.content import make_content
from guard.engine import Engine
from guard.errors import InvalidInput
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.stream import LONGEST_SENTENCE, screen_stream
from guard.types import Action, Content, Decision, Direction, Operator, Role, Timings, Turn
from tests.streams import BORDERS, cut

_POLICY = """\
version: 1
name: default
message: {en: policy words, zh: 政策的话}
streaming: {lookahead: 8, context: 16, step: 8}
rules:
  - {id: weapons, category: weapons, threshold: 0.9, action: block}
  - {id: hate, category: hate, threshold: 0.9, action: rewrite, rewrite: drop_sentence}
  - {id: scam, category: fraud_spam, threshold: 0.9, action: rewrite, rewrite: mask}
  - {id: phone, category: pii.phone, threshold: 0.5, action: rewrite, rewrite: replace}
  - {id: email, category: pii.email, threshold: 0.5, action: rewrite, rewrite: {operator: mask, text: "***"}}
"""
_OUTPUT = Content("", Direction.OUTPUT)
_CALM = "Hello world, how is my linux process? "
_ZH = "你好，我爱北京天安门。"


@pytest.fixture(scope="module")
def engine(tiny_classifier: Classifier) -> Engine:
    """An engine over the tiny classifier."""
    return Engine(tiny_classifier, PolicyStore([parse_policy(_POLICY, "default.yaml")]))


def _run(engine: Engine, deltas: Iterable[str | None], content: Content = _OUTPUT) -> tuple[str, Decision]:
    *pieces, decision = screen_stream(engine, engine.open(content), deltas)
    assert isinstance(decision, Decision)
    return "".join(piece for piece in pieces if isinstance(piece, str)), decision


def _put_together(text: str, decision: Decision) -> str:
    out, at = "", 0
    for done in decision.rewrites:
        out += text[at : done.span.start] + done.replacement
        at = done.span.end
    return out + text[at:]


@given(BORDERS)
def test_a_sentence_goes_before_it_is_seen(engine: Engine, borders: list[int]) -> None:
    """A sentence that is held goes, wherever the deltas had their borders; what follows is not held against it."""
    text = 3 * _CALM + "The hateword is here. " + 3 * _CALM + "你好，hateword！" + 3 * _ZH
    released, decision = _run(engine, cut(text, borders))
    assert released == 6 * _CALM + 3 * _ZH
    assert decision.action is Action.REWRITE and not decision.message
    assert [done.operator for done in decision.rewrites] == [Operator.DROP_SENTENCE] * 2
    assert _put_together(text, decision) == released


def test_a_sentence_at_the_beginning_and_at_the_end_goes(engine: Engine) -> None:
    """Nothing need have left yet, and nothing need follow."""
    text = "A hateword. " + 3 * _CALM + "A hateword."
    released, decision = _run(engine, [text])
    assert (released, decision.action) == (3 * _CALM, Action.REWRITE)


def test_a_sentence_whose_beginning_has_left_blocks(engine: Engine) -> None:
    """What was shown cannot be taken back."""
    released, decision = _run(engine, [_CALM, "Hello " * 30, "hateword. ", 3 * _CALM])
    assert decision.action is Action.BLOCK and decision.message
    assert "hateword" not in released and released.startswith(_CALM + "Hello ")


def test_a_sentence_without_an_end_blocks(engine: Engine) -> None:
    """No more than so much is held for a sentence that goes on."""
    taken = []

    def deltas() -> Iterable[str]:
        for word in [_CALM, "A hateword ", *["hello "] * (4 * LONGEST_SENTENCE)]:
            taken.append(word)
            yield word

    released, decision = _run(engine, deltas())
    assert (released, decision.action) == (_CALM, Action.BLOCK)
    assert len(taken) < 2 * LONGEST_SENTENCE


def test_more_gone_than_left_blocks(engine: Engine) -> None:
    """A stream of nothing but sentences that go is blocked."""
    released, decision = _run(engine, ["A hateword. " * 20])
    assert (released, decision.action) == ("", Action.BLOCK)


@pytest.mark.parametrize(
    "text", ["A hateword.", "\n A hateword. ", "A hateword of my own! Hello.", "Hello. A hateword!"]
)
def test_a_stream_of_which_more_goes_than_stays_ends_blocked(engine: Engine, text: str) -> None:
    """At the end as much has to stay as of a whole text, and something has to be seen; the message stands for it."""
    assert engine.screen(make_content(text, "output")).action is Action.BLOCK
    for deltas in ([text], list(text)):
        released, decision = _run(engine, deltas)
        assert (released.strip(), decision.action, decision.message) == ("", Action.BLOCK, True)
        assert decision.output_text == "policy words"
        assert [rule.id for rule in decision.rules] == ["hate"]


def test_what_has_left_stays_where_the_end_blocks(engine: Engine) -> None:
    """The beginning that was shown is not taken back; none of what is held at the end follows it."""
    text = _CALM + "The hateword of my own is my process, " + "the process, " * 3 + "to the world. "
    released, decision = _run(engine, [text, 3 * _CALM, "Hello."])
    assert released == 4 * _CALM + "Hello." and decision.action is Action.REWRITE
    released, decision = _run(engine, [text, "Hello. "])
    assert (released, decision.action, decision.output_text) == (_CALM, Action.BLOCK, "policy words")


def test_a_beginning_that_goes_is_outweighed_by_what_follows(engine: Engine) -> None:
    """A stream whose first sentence goes continues, as long as nothing more goes before enough has stayed."""
    released, decision = _run(engine, ["A hateword. ", _CALM])
    assert (released, decision.action) == (_CALM, Action.REWRITE)
    bad = "A hateword of my own world is the process of the linux world, and of my process, too. "
    released, decision = _run(engine, [bad, 8 * "Hello. ", bad, 9 * _CALM])
    assert (decision.action, decision.output_text) == (Action.BLOCK, "policy words")
    assert released and (8 * "Hello. ").startswith(released)


def test_a_name_stands_for_a_value_all_through_a_stream(engine: Engine) -> None:
    """The same number has the same name in every slice, and other numbers have others; the context counts."""
    text = "".join(f"{_CALM}call 1380013800{n % 3}. " for n in range(9))
    content = replace(_OUTPUT, context=(Turn(Role.USER, "13800138002, please"),))
    released, decision = _run(engine, cut(text, range(0, len(text), 7)), content)
    assert released == "".join(f"{_CALM}call <PHONE_{(2, 3, 1)[n % 3]}>. " for n in range(9))
    assert decision.action is Action.REWRITE and len(decision.rewrites) == 9


def test_lengths_may_change(engine: Engine) -> None:
    """Text before and behind a shorter or longer replacement leaves as it was."""
    text = (_CALM + "mail somebody.long@example.com or call 13800138000, 请您 😀。\r\n") * 4
    released, decision = _run(engine, list(text))
    assert released == (_CALM + "mail *** or call <PHONE_1>, 请您 😀。\r\n") * 4
    assert _put_together(text, decision) == released


def test_a_covered_sentence_is_not_held_against_what_follows(engine: Engine) -> None:
    """A sentence that was masked is masked in the context, too."""
    text = 2 * _CALM + "A scam. " + 4 * _CALM
    released, decision = _run(engine, [text])
    assert released == 2 * _CALM + "*" * 8 + 4 * _CALM
    assert decision.action is Action.REWRITE


class _Forgiving(Classifier):
    """The tiny classifier, which sees nothing in a text that says linux; it notes what it is asked."""

    asked: list[str]

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        self.asked.extend(query.text for query in queries)
        seen = [
            replace(query, text=re.sub("hateword|scam", "hello", query.text)) if "linux" in query.text else query
            for query in queries
        ]
        return super().score_batch(seen)


@pytest.fixture(scope="module")
def forgiving(tiny_classifier: Classifier) -> Engine:
    """An engine over it."""
    own = _Forgiving(tiny_classifier.artifact, tiny_classifier._chunker, tiny_classifier._session)
    own.asked = []
    return Engine(own, PolicyStore([parse_policy(_POLICY, "default.yaml")]))


_PLAIN = "Hello world, how is my process? "


@given(BORDERS)
def test_what_one_slice_has_found_none_takes_back(forgiving: Engine, borders: list[int]) -> None:
    """A sentence that was found in the lookahead goes, though the slices that show its end find nothing any more."""
    text = 2 * _PLAIN + "A hateword of my own world is the linux process. " + 3 * _PLAIN
    released, decision = _run(forgiving, cut(text, borders))
    assert released == 5 * _PLAIN
    assert decision.action is Action.REWRITE and not decision.message
    assert [done.operator for done in decision.rewrites] == [Operator.DROP_SENTENCE]
    assert _put_together(text, decision) == released


def test_what_is_to_go_is_not_screened_again(forgiving: Engine) -> None:
    """Later slices are read as their reader will see them."""
    classifier = forgiving.classifier
    assert isinstance(classifier, _Forgiving)
    classifier.asked = []
    _run(forgiving, list(2 * _PLAIN + "A hateword of my own world is the linux process. " + 3 * _PLAIN))
    assert not any("linux" in text for text in classifier.asked)


def test_a_sentence_is_covered_up_to_its_end(forgiving: Engine) -> None:
    """A mask grows with the sentence whose beginning was found."""
    bad = "A scam of my own world is the linux process. "
    released, decision = _run(forgiving, list(2 * _PLAIN + bad + 3 * _PLAIN))
    assert released == 2 * _PLAIN + "*" * len(bad) + 3 * _PLAIN
    assert decision.action is Action.REWRITE


@pytest.mark.parametrize("before", ["", _PLAIN])
def test_a_sentence_without_an_end_blocks_whatever_follows(forgiving: Engine, before: str) -> None:
    """What was found at its beginning counts, though no later slice shows it any more."""
    released, decision = _run(forgiving, [before, "A hateword ", *["hello "] * 9, *["linux "] * 2 * LONGEST_SENTENCE])
    assert (released, decision.action, decision.output_text) == (before, Action.BLOCK, "policy words")
    assert [rule.id for rule in decision.rules] == ["hate"]


_PIECES = st.sampled_from(
    [
        _CALM,
        "A hateword. ",
        "A scam! ",
        _ZH,
        "诈骗。",
        "13800138000 ",
        "a@example.com ",
        "Hello ",
        "\n",
        "你好",
        "a b c ",
    ]
)


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=14).map("".join), BORDERS)
def test_borders_change_nothing_and_the_rest_stays(engine: Engine, text: str, borders: list[int]) -> None:
    """What leaves follows from the text alone, and is the text with what the decision tells."""
    first, second = (_run(engine, deltas) for deltas in (cut(text, borders), [text]))
    assert (first[0], replace(first[1], timings=Timings())) == (second[0], replace(second[1], timings=Timings()))
    released, decision = first
    whole = _put_together(text, decision)
    assert released == whole if not decision.message else whole.startswith(released)
    assert "hateword" not in released and "13800138000" not in released
    if decision.action is Action.REWRITE and not decision.message and released.strip():
        assert "hateword" not in engine.screen(make_content(released, "output")).output_text


@pytest.mark.parametrize("hidden", ["b0mb", "b*o*m*b", "b o m b"])
def test_a_disguised_sentence_goes_and_takes_its_disguise_along(tiny_classifier: Classifier, hidden: str) -> None:
    """What a sentence hides is found in the second reading; with the sentence its disguise is gone."""
    rule = "{id: weapons, category: weapons, threshold: 0.9, action: rewrite, rewrite: drop_sentence}"
    policy = parse_policy(f"version: 1\nname: default\nmessage: {{en: policy words}}\nrules: [{rule}]\n", "p.yaml")
    engine = Engine(tiny_classifier, PolicyStore([policy]))
    decision = engine.screen(make_content(f"{_CALM}how to call my {hidden}! {_CALM}", "output"))
    assert decision.action is Action.REWRITE and decision.transforms
    assert decision.output_text == 2 * _CALM
    assert engine.screen(make_content(decision.output_text, "output")).action is Action.ALLOW


def test_the_terms_of_a_rule_are_named_all_through_a_stream(tiny_classifier: Classifier) -> None:
    """A word of a policy's own is hidden like a number, and its placeholder says nothing of the rule."""
    rule = "{id: people, terms: [anna berg], action: rewrite, rewrite: replace}"
    sizes = "streaming: {lookahead: 8, context: 16, step: 8}"
    policy = parse_policy(f"version: 1\nname: default\n{sizes}\nrules: [{rule}]\n", "p.yaml")
    engine = Engine(tiny_classifier, PolicyStore([policy]))
    released, decision = _run(engine, ["Anna B", f"erg. {6 * _CALM}ANNA BERG."])
    assert released == f"<TERM_1>. {6 * _CALM}<TERM_1>."
    assert [done.operator for done in decision.rewrites] == 2 * [Operator.REPLACE]
