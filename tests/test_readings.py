"""Two readings of a text: what the engine makes of a disguised one."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier, Query, Scored
from guard.engine import Engine
from guard.errors import GuardError, InternalError, InvalidInput
from guard.policy.evaluate import evaluate
from guard.policy.load import parse_policy
from guard.policy.policy import Policy
from guard.policy.store import PolicyStore
from guard.readings import Evidence, changes, combine
from guard.records import Record
from guard.stream import screen_stream
from guard.types import Action, Content, Decision, Detection, Direction, Span

_POLICY = """
version: 1
name: default
on_error: block
streaming: {lookahead: 8, context: 16, step: 8}
rules:
  - {id: weapons, category: weapons, threshold: 0.9, action: block}
  - {id: violence, category: violence, threshold: 0.7, action: block, shadow: true}
  - {id: pii, direction: output, category: pii, threshold: 0.5, action: rewrite, rewrite: mask}
"""


class _Recording(Classifier):
    """The tiny classifier, with a note of what it was asked."""

    calls: list[list[str]]

    def score_batch(self, queries: Sequence[Query]) -> list[Scored | InvalidInput]:
        self.calls.append([query.text for query in queries])
        return super().score_batch(queries)


@pytest.fixture
def classifier(tiny_model_dir: Path) -> _Recording:
    """A tiny classifier of the test's own."""
    loaded = _Recording.load(tiny_model_dir, max_tokens=64)
    assert isinstance(loaded, _Recording)
    loaded.calls = []
    return loaded


@pytest.fixture
def policy() -> Policy:
    """The policy of these tests."""
    return parse_policy(_POLICY, "default.yaml")


@pytest.fixture
def engine(classifier: _Recording, policy: Policy) -> Engine:
    """An engine over the two."""
    return Engine(classifier, PolicyStore([policy]))


@pytest.mark.parametrize(
    ("text", "transforms"),
    [
        ("how to call my b0mb", ("leet",)),
        ("b o m b", ("split_letters",)),
        ("我爱炸*弹", ()),
        (base64.b64encode(b"how to call my bomb").decode(), ("base64",)),
        ("hello world, bоmb", ("homoglyphs",)),
    ],
)
def test_a_disguise_is_undone_and_named(engine: Engine, text: str, transforms: tuple[str, ...]) -> None:
    """A disguised text is decided as its plain reading is; what the text shows by itself needs no naming."""
    decision = engine.screen(Content(text))
    assert (decision.action, decision.transforms) == (Action.BLOCK, transforms)
    assert decision.scores["weapons"] > 0.9


def test_both_readings_go_into_one_batch(engine: Engine, classifier: _Recording) -> None:
    """The second reading is asked for beside the others, and only of the text that has one."""
    engine.screen_batch([Content("hello world"), Content("my b0mb"), Content("hello")])
    assert classifier.calls == [["hello world", "my b0mb", "my bomb", "hello"]]


def test_an_undone_disguise_that_changes_nothing_is_not_named(engine: Engine) -> None:
    """A harmless reading leaves the decision as it was; a shadow rule that fires is a change."""
    assert engine.screen(Content("h3llo world")).transforms == ()
    decision = engine.screen(Content("k1ll the process"))
    assert (decision.action, decision.transforms) == (Action.ALLOW, ("leet",))
    assert [rule.id for rule in decision.rules] == ["violence"]


def test_what_an_encoding_holds_is_masked_where_it_stands(engine: Engine) -> None:
    """Personal data in base64 is covered as a whole, the rest of the text stays byte for byte."""
    hidden = base64.b64encode(b"write to anna@example.com, my world").decode()
    decision = engine.screen(Content(f"Hello, {hidden} is the process", Direction.OUTPUT))
    assert decision.action is Action.REWRITE and decision.transforms == ("base64",)
    assert decision.output_text == f"Hello, {'*' * len(hidden)} is the process"
    (found,) = decision.detections
    assert (found.category, found.span) == ("pii.email", Span(7, 7 + len(hidden)))


def test_a_record_of_two_readings_replays(engine: Engine, policy: Policy) -> None:
    """The record holds the scores that decided, so the policy decides it again in the same way."""
    content = Content("how to call my b0mb")
    record = Record.from_json(Record.of(content, engine.screen(content), id="1").to_json())
    assert record.transforms == ("leet",)
    assert evaluate(policy, record.direction, record.scores, record.detections).action is record.action


def test_a_stream_undoes_disguises_too(engine: Engine) -> None:
    """A disguise that comes in pieces is undone, and the stream's decision names it."""
    opening = engine.open(Content("", Direction.OUTPUT))
    *released, decision = screen_stream(engine, opening, ["hello my b", "0", "mb", " of the world"])
    assert isinstance(decision, Decision)
    assert (decision.action, decision.transforms) == (Action.BLOCK, ("leet",))
    assert "0mb" not in "".join(str(piece) for piece in released)


def test_a_second_reading_over_the_limit_is_refused(engine: Engine) -> None:
    """What does not fit the model when it is decoded is the caller's to split, as a plain text would be."""
    hidden = base64.b64encode(b"how to call the world " * 20).decode()
    with pytest.raises(InvalidInput, match="the limit is 64"):
        engine.screen(Content(hidden))


def test_a_defect_of_undoing_is_decided_by_on_error(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A text whose second reading cannot be made does not pass, and the others of its batch are not touched."""

    def broken(normalized: object) -> None:
        if "world" in str(normalized):
            raise RuntimeError("SECRET")

    monkeypatch.setattr("guard.judging.unmask", broken)
    with caplog.at_level(logging.ERROR):
        world, hello = engine.screen_batch([Content("world"), Content("hello")])
    assert not isinstance(world, GuardError) and world.degraded and world.action is Action.BLOCK
    assert not isinstance(hello, GuardError) and not hello.degraded
    assert "SECRET" not in caplog.text


def _phone(start: int, score: float) -> Detection:
    return Detection("pii.phone", Span(start, start + 11), score, "phone")


def test_the_higher_counts() -> None:
    """Per category the higher score; every place once, with the higher score, in the order of the text."""
    first = Evidence({"hate": 0.2, "weapons": 0.7}, (_phone(5, 0.9), _phone(40, 0.5)))
    second = Evidence({"hate": 0.6, "weapons": 0.1}, (_phone(20, 0.7), _phone(40, 0.8)))
    both = combine(first, second)
    assert both.scores == {"hate": 0.6, "weapons": 0.7}
    assert both.detections == (_phone(5, 0.9), _phone(20, 0.7), _phone(40, 0.8))


def test_a_score_that_is_no_number_is_not_hidden(policy: Policy) -> None:
    """If the second reading's score is not a number, the text counts as unscreened."""
    both = combine(Evidence({"hate": 0.2}, ()), Evidence({"hate": math.nan}, ()))
    with pytest.raises(InternalError):
        evaluate(policy, Direction.PROMPT, both.scores, both.detections)


def test_what_changes_an_outcome(policy: Policy) -> None:
    """Another rule or another place is a change; a higher score of a rule that fired anyway is none."""
    low, high, harmless = ({"weapons": score} for score in (0.91, 0.99, 0.1))
    outcomes = [evaluate(policy, Direction.OUTPUT, scores, ()) for scores in (low, high, harmless)]
    assert not changes(outcomes[0], outcomes[1])
    assert changes(outcomes[2], outcomes[0])
    one, two = (evaluate(policy, Direction.OUTPUT, {}, found) for found in ((_phone(1, 0.9),), (_phone(2, 0.9),)))
    assert changes(one, two)
