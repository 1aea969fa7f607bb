from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier, Query, Scored
from guard.content import make_content
from guard.engine import Engine
from guard.errors import InvalidInput
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.stream import Screening, in_pieces, screen_stream
from guard.types import CATEGORIES, Action, Content, Decision, Direction, Role, Span, Timings, Turn
from tests.streams import BORDERS, CHARGED, WHOLE, cut, texts

_POLICY = """\
version: 1
name: {name}
on_error: {on_error}
message: {{en: policy words, zh: 政策的话}}
streaming: {{lookahead: {lookahead}, context: 16, step: 8}}
rules:
  - {{id: weapons, category: weapons, threshold: 0.9, action: block, message: {{en: no weapons, zh: 不谈武器}}}}
  - {{id: violence, category: violence, threshold: 0.7, action: block, shadow: true}}
  - {{id: distress, direction: prompt, category: self_harm, threshold: 0.9, action: rewrite, message: {{en: help}}}}
  - {{id: pii, direction: output, category: pii, threshold: 0.5, action: rewrite, rewrite: mask}}
"""
_OUTPUT = Content("", Direction.OUTPUT)
_LOOKAHEAD = 8


def _policies() -> PolicyStore:
    """The same rules, failing closed, failing open, and with the smallest window."""
    kinds = (("default", "block", _LOOKAHEAD), ("open", "allow", _LOOKAHEAD), ("narrow", "block", 1))
    return PolicyStore(
        [
            parse_policy(_POLICY.format(name=name, on_error=on_error, lookahead=lookahead), f"{name}.yaml")
            for name, on_error, lookahead in kinds
        ]
    )


class _Recording(Classifier):
    """The tiny classifier, with a note of what it was asked; it fails on a word."""

    asked: list[Query]
    breaks_on = "\0"

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        self.asked.extend(queries)
        if any(self.breaks_on in query.text for query in queries):
            raise RuntimeError(f"SECRET {queries[0].text}")
        return super().score_batch(queries)


@pytest.fixture
def classifier(tiny_classifier: Classifier) -> _Recording:
    """A tiny classifier of the test's own."""
    own = _Recording(tiny_classifier.artifact, tiny_classifier._chunker, tiny_classifier._session)
    own.asked = []
    return own


@pytest.fixture
def engine(classifier: _Recording) -> Engine:
    """An engine over that classifier."""
    return Engine(classifier, _policies())


@pytest.fixture(scope="module")
def plain_engine(tiny_classifier: Classifier) -> Engine:
    """An engine that several tests share."""
    engine = Engine(tiny_classifier, _policies())
    engine.warm_up()
    return engine


def _run(engine: Engine, deltas: Iterable[str | None], content: Content = _OUTPUT) -> tuple[str, Decision]:
    """What a stream releases, joined, and its decision."""
    *pieces, decision = screen_stream(engine, engine.open(content), deltas)
    assert isinstance(decision, Decision)
    texts = [piece for piece in pieces if isinstance(piece, str)]
    assert len(texts) == len(pieces) and all(texts)
    return "".join(texts), decision


# What leaves, and what is decided


@given(texts(), BORDERS)
def test_an_allowed_stream_is_its_text(plain_engine: Engine, text: str, borders: list[int]) -> None:
    """The pieces of an allowed stream joined are the input, whatever the borders of its deltas."""
    released, decision = _run(plain_engine, cut(text, borders))
    if decision.action is Action.ALLOW:
        assert released == text
    assert decision.output_text == ("policy words" if decision.action is Action.BLOCK else decision.output_text)


@given(texts((*WHOLE, *CHARGED)), BORDERS)
def test_every_stream_keeps_its_promise(plain_engine: Engine, text: str, borders: list[int]) -> None:
    """Allowed is the input; rewritten is it outside of what was found; blocked is a beginning of one of them."""
    released, decision = _run(plain_engine, cut(text, borders))
    covered = list(text)
    for found in decision.detections:
        covered[found.span.start : found.span.end] = "*" * (found.span.end - found.span.start)
    if decision.action is Action.BLOCK:
        assert decision.message and decision.output_text in {"no weapons", "不谈武器"}
        assert len(released) <= len(text)
        assert all(char in {"*", text[at]} for at, char in enumerate(released))
        assert not {"bomb", "炸"} & set(released.split()) and "炸" not in released
    else:
        assert not decision.message and decision.output_text == ""
        assert released == (text if decision.action is Action.ALLOW else "".join(covered))


@given(texts((*WHOLE, *CHARGED)), BORDERS)
def test_borders_change_nothing(plain_engine: Engine, text: str, borders: list[int]) -> None:
    """What is released and what is decided follow from the text, not from how it came."""
    ways = [_run(plain_engine, deltas) for deltas in (cut(text, borders), [text], list(text))]
    assert len({released for released, _ in ways}) == 1
    first, *others = [replace(decision, timings=Timings()) for _, decision in ways]
    assert all(other == first for other in others)


@given(st.lists(st.sampled_from(WHOLE), max_size=30), st.lists(st.sampled_from(WHOLE), max_size=30), BORDERS)
def test_a_violation_does_not_leak(
    plain_engine: Engine, before: list[str], behind: list[str], borders: list[int]
) -> None:
    """No character of a violation of up to `lookahead` tokens leaves, wherever it stands."""
    text = "".join([*before, " the bomb ", *behind])
    released, decision = _run(plain_engine, cut(text, borders))
    assert decision.action is Action.BLOCK
    assert len(released) <= len("".join(before)) + len(" the ")


@given(BORDERS)
def test_a_number_is_covered_across_deltas(plain_engine: Engine, borders: list[int]) -> None:
    """A phone number or an address in any number of deltas leaves covered, and the rest as it was."""
    text = "北京 hello world, call 138 0013 8000 or mail a@example.com, the process is linux. " * 3
    released, decision = _run(plain_engine, cut(text, borders))
    assert decision.action is Action.REWRITE and not decision.message
    assert released == text.replace("138 0013 8000", "*" * 13).replace("a@example.com", "*" * 13)
    assert [text[d.span.start : d.span.end] for d in decision.detections] == ["138 0013 8000", "a@example.com"] * 3
    assert [rule.id for rule in decision.rules] == ["pii"]


def test_a_number_in_four_deltas_is_covered(engine: Engine) -> None:
    """The plainest case."""
    released, decision = _run(engine, ["call 138", "0013", "80", "00", " now"])
    assert (released, decision.action) == ("call *********** now", Action.REWRITE)


def test_a_smaller_lookahead_leaks_less_than_it_lacks(engine: Engine) -> None:
    """With a lookahead shorter than what is found its beginning may leave; what is left of it is still covered."""
    text = "hello world, mail " + "a" * 60 + "@example.com, hello world " + "process " * 20
    released, decision = _run(engine, [text], replace(_OUTPUT, policy="narrow"))
    assert decision.action is Action.REWRITE
    assert released.endswith("*, hello world " + "process " * 20)


def test_a_block_releases_nothing_that_is_held(engine: Engine) -> None:
    """A block ends the stream with the message; what was held does not leave, and no more deltas are taken."""
    taken = []

    def deltas() -> Iterable[str]:
        for word in ["hello "] * 40 + ["bomb "] + ["world "] * 40:
            taken.append(word)
            yield word

    released, decision = _run(engine, deltas())
    assert decision.action is Action.BLOCK and decision.message and decision.output_text == "no weapons"
    assert set(released.split()) == {"hello"}
    assert [rule.id for rule in decision.rules] == ["weapons"]
    assert 41 < len(taken) < 41 + 2 * _LOOKAHEAD


def test_a_template_ends_the_stream_with_its_message(engine: Engine) -> None:
    """A rewrite by template cannot take back what has left: it ends the stream like a block, and stays a rewrite."""
    released, decision = _run(engine, ["hello " * 30, "selfharm ", "hello " * 30], Content(""))
    assert (decision.action, decision.output_text, decision.message) == (Action.REWRITE, "help", True)
    assert "selfharm" not in released


def test_what_has_left_is_not_found_again(engine: Engine) -> None:
    """A number that loses the word in front of it, because that is out of the window, is no phone number by then."""
    text = "订单号 13812345678 " + "hello " * 60
    released, decision = _run(engine, cut(text, range(0, len(text), 3)))
    assert decision.action is Action.ALLOW and not decision.detections
    assert released == text


def test_the_decision_is_that_of_the_whole_stream(engine: Engine) -> None:
    """Scores are the highest of the slices, tokens those of the text, spans count from its beginning."""
    text = "kill " + "hello " * 50 + "mail a@example.com "
    released, decision = _run(engine, cut(text, range(0, len(text), 4)), replace(_OUTPUT, request_id="r1"))
    whole = engine.screen(make_content(text, "output"))
    assert released == whole.output_text
    assert (decision.action, decision.tokens, decision.language) == (whole.action, whole.tokens, whole.language)
    assert (decision.policy, decision.model, decision.request_id) == (whole.policy, whole.model, "r1")
    assert decision.detections == whole.detections
    assert [(rule.id, rule.shadow) for rule in decision.rules] == [("violence", True), ("pii", False)]
    assert tuple(decision.scores) == CATEGORIES
    assert decision.scores["violence"] == pytest.approx(whole.scores["violence"])
    assert decision.chunks > 1


@pytest.mark.parametrize("deltas", [[], [""], [" ", "\n", "\u200b"]])
def test_a_stream_without_text_is_allowed(engine: Engine, deltas: list[str]) -> None:
    """A model that says nothing visible is no mistake: nothing is screened, and what came leaves."""
    released, decision = _run(engine, deltas)
    assert released == "".join(deltas)
    assert (decision.action, dict(decision.scores), decision.tokens) == (Action.ALLOW, {}, 0)
    assert decision.policy.startswith("default@") and decision.model.startswith("tiny@")


def test_a_pause_releases_what_may_leave(engine: Engine) -> None:
    """After a pause all but the lookahead has left."""
    opening = engine.open(_OUTPUT)
    words = [f"{word} " for word in ("hello", "world") * 5]
    events = list(screen_stream(engine, opening, [*words, None, "the end"]))
    assert events[0] == "".join(words[:-_LOOKAHEAD])
    assert "".join(event for event in events if isinstance(event, str)) == "".join(words) + "the end"


# Cost


@pytest.mark.parametrize("words", [500, 1000])
def test_screenings_grow_with_the_text_and_not_with_its_square(classifier: _Recording, words: int) -> None:
    """A stream of twice the length is screened twice as often, in slices of one size."""
    engine = Engine(classifier, _policies())
    _run(engine, ["hello "] * words)
    assert len(classifier.asked) == pytest.approx(words / 8, rel=0.1)
    assert max(len(query.text.split()) for query in classifier.asked) <= 16 + _LOOKAHEAD + 8 + 1


@pytest.mark.parametrize("unit", ["hello world ", "我爱北京。", "a@example.com, ", "x" * 500 + " "])
def test_a_large_delta_is_held_in_pieces(plain_engine: Engine, unit: str) -> None:
    """Of a delta of any size a bounded number of characters and tokens is held, and what is released stays the same."""
    text = unit * (12_000 // len(unit))
    screening = Screening(plain_engine, plain_engine.open(_OUTPUT))
    released, characters, tokens = [], 0, 0
    for piece in in_pieces(text):
        screening.push(piece)
        characters = max(characters, screening.held)
        tokens = max(tokens, len(screening._window._starts))
        while screening.due:
            released.append(screening.advance())
    screening.close()
    while screening.due:
        released.append(screening.advance())
    assert characters < 4096
    assert tokens < 8192
    once, decision = _run(plain_engine, [text])
    assert "".join(released) == once == _run(plain_engine, cut(text, range(0, len(text), 777)))[0]
    assert screening.decision is not None
    assert replace(screening.decision, timings=Timings()) == replace(decision, timings=Timings())


@pytest.mark.parametrize("delta", ["", "a", "a" * 1024, "a" * 1025, "我" * 5000])
def test_pieces_are_the_delta(delta: str) -> None:
    """The pieces of a delta joined are the delta; each is small, and an empty delta is one piece."""
    pieces = list(in_pieces(delta))
    assert "".join(pieces) == delta
    assert all(len(piece) <= 1024 for piece in pieces)
    assert len(pieces) == max(1, -(-len(delta) // 1024))


def test_after_a_block_nothing_more_of_a_delta_is_taken(engine: Engine, classifier: _Recording) -> None:
    """A block in the middle of a large delta ends the work: what follows is neither counted nor screened."""
    released, decision = _run(engine, ["hello " * 500 + "bomb " + "process " * 20_000])
    assert decision.action is Action.BLOCK
    assert decision.tokens < 700
    assert "bomb" not in released
    assert not any(query.text.count("process") > 40 for query in classifier.asked)


def test_a_long_context_is_read_once(classifier: _Recording) -> None:
    """Of a long turn every slice is given what the model can read of it, its beginning and its end."""
    engine = Engine(classifier, _policies())
    turn = Turn(Role.USER, "hello " + "the world " * 100_000 + "process")
    _run(engine, ["hello "] * 50, replace(_OUTPUT, context=(turn,)))
    for query in classifier.asked:
        (given_turn,) = query.context
        assert len(given_turn.text) < 10_000
        assert given_turn.text.startswith("hello ") and given_turn.text.endswith("process")


# Failures


def test_a_failure_is_decided_by_the_policy(engine: Engine, classifier: _Recording) -> None:
    """A slice that cannot be screened ends the stream, or passes degraded where the policy says so."""
    classifier.breaks_on = "linux"
    text = "hello " * 20 + "linux " + "hello " * 20
    released, decision = _run(engine, [text])
    assert decision.action is Action.BLOCK and decision.degraded and decision.message
    assert "linux" not in released
    released, decision = _run(engine, [text], replace(_OUTPUT, policy="open"))
    assert decision.action is Action.ALLOW and decision.degraded
    assert released == text


def test_a_clean_close_lets_nothing_pass_unscreened(engine: Engine, classifier: _Recording) -> None:
    """What is held at the end is screened before it leaves."""
    released, decision = _run(engine, ["a bomb"])
    assert (released, decision.action) == ("", Action.BLOCK)
    classifier.breaks_on = "end"
    released, decision = _run(engine, ["the ", "end"])
    assert (released, decision.degraded) == ("", True)


@pytest.mark.parametrize("delta", ["\ud800", "a\udfff"])
def test_half_a_character_is_refused(engine: Engine, delta: str) -> None:
    """A lone surrogate, which no UTF-8 can carry, ends the stream with its field named."""
    with pytest.raises(InvalidInput, match="delta: invalid UTF-8"):
        _run(engine, ["hello", delta])


def test_what_a_stream_begins_with_is_checked_at_once(engine: Engine) -> None:
    """Every broken field of an opening is named before a delta is taken."""
    broken = Content("", "sideways", policy="nosuch", request_id="\ud800")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as caught:
        engine.open(broken)
    assert [violation.field for violation in caught.value.violations] == ["direction", "request_id", "policy"]


def test_a_window_larger_than_a_text_may_be_is_refused(tiny_model_dir: object, tiny_classifier: Classifier) -> None:
    """A policy whose slices could not be screened is refused at the opening, with both cures."""
    artifact = replace(tiny_classifier.artifact, limits=replace(tiny_classifier.artifact.limits, max_text=20))
    small = Engine(Classifier(artifact, tiny_classifier._chunker, tiny_classifier._session), _policies())
    with pytest.raises(InvalidInput, match="policy: the slices of default have more tokens than the limit of 20"):
        small.open(_OUTPUT)


def test_nothing_is_taken_after_the_close(engine: Engine) -> None:
    """A delta after the close is a mistake of the caller."""
    screening = Screening(engine, engine.open(_OUTPUT))
    screening.close()
    with pytest.raises(InvalidInput, match="after the close"):
        screening.push("more")


# The engine's part


def test_a_slice_is_decided_by_what_touches_its_part(engine: Engine) -> None:
    """What recognizers find outside of the part neither acts nor is covered; the classifier reads all of it."""
    text = "a@example.com b@example.com c@example.com"
    opening = engine.open(_OUTPUT)
    decision = engine.screen_slice(opening, text, Span(14, 27))
    assert decision.output_text == "a@example.com ************* c@example.com"
    assert [found.span for found in decision.detections] == [Span(14, 27)]
    assert engine.screen_slice(opening, "bomb b@example.com", Span(5, 18)).action is Action.BLOCK


@given(texts())
def test_tokens_lie_in_the_original(plain_engine: Engine, text: str) -> None:
    """Tokens are places of the original in order; there are as many as a decision counts."""
    spans = plain_engine.tokenise(text)
    assert list(spans) == sorted(spans)
    assert all(0 <= span.start <= span.end <= len(text) for span in spans)
