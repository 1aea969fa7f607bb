from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import wire
from guard.errors import InvalidInput
from guard.types import (
    CATEGORIES,
    Action,
    Content,
    Decision,
    Detection,
    Direction,
    FiredRule,
    Info,
    Limits,
    ModelInfo,
    Operator,
    Origin,
    PolicyInfo,
    Rewrite,
    Role,
    Span,
    Timings,
    Turn,
)
from guard.unmask import TRANSFORMS
from guard.v1 import guard_pb2 as pb

_text = st.text(max_size=20)
_score = st.floats(0, 1)
_count = st.integers(0, 2**31 - 1)

_contents = st.builds(
    Content,
    text=_text,
    direction=st.sampled_from(Direction),
    context=st.lists(st.builds(Turn, st.sampled_from(Role), _text), max_size=3).map(tuple),
    origin=st.sampled_from(Origin),
    policy=_text,
    request_id=_text,
    tags=st.dictionaries(_text, _text, max_size=3),
)

_decisions = st.builds(
    Decision,
    action=st.sampled_from(Action),
    output_text=_text,
    rules=st.lists(
        st.builds(FiredRule, _text, _text, _score, _score, st.sampled_from(Action), st.booleans()), max_size=3
    ).map(tuple),
    scores=st.dictionaries(st.sampled_from(CATEGORIES), _score),
    detections=st.lists(st.builds(Detection, _text, st.builds(Span, _count, _count), _score, _text), max_size=3).map(
        tuple
    ),
    policy=_text,
    model=_text,
    chunks=_count,
    tokens=_count,
    language=st.sampled_from(["zh", "en", "other"]),
    degraded=st.booleans(),
    timings=st.builds(Timings, _count, _count, _count, _count),
    request_id=_text,
    message=st.booleans(),
    transforms=st.lists(st.sampled_from(TRANSFORMS), unique=True).map(tuple),
    rewrites=st.lists(
        st.builds(Rewrite, st.builds(Span, _count, _count), st.sampled_from(Operator), _text, _text), max_size=3
    ).map(tuple),
)


@given(_contents)
def test_content_survives_the_wire(content: Content) -> None:
    """Whatever a content holds, the other side gets the same."""
    raw = wire.content_to_proto(content).SerializeToString()
    assert wire.content_from_proto(pb.Content.FromString(raw)) == content


def test_an_operator_of_a_later_version_counts_as_a_mask() -> None:
    """A client that does not know an operator still reads what stands in the place."""
    message = pb.Decision(rewrites=[pb.Rewrite(operator="tomorrow", replacement="x")])
    (done,) = wire.decision_from_proto(message).rewrites
    assert (done.operator, done.replacement) == (Operator.MASK, "x")


@given(_decisions)
def test_decision_survives_the_wire(decision: Decision) -> None:
    """A decision crosses the wire exactly, scores included to the last bit."""
    raw = wire.decision_to_proto(decision).SerializeToString()
    assert wire.decision_from_proto(pb.Decision.FromString(raw)) == decision


def test_scores_come_back_in_the_contracts_order() -> None:
    """The receiver's scores are in the order of the categories, whatever order the wire had."""
    shuffled = dict.fromkeys(reversed(CATEGORIES), 0.5)
    message = pb.Decision(action=pb.ACTION_ALLOW, scores=shuffled)
    assert tuple(wire.decision_from_proto(message).scores) == CATEGORIES


def test_info_survives_the_wire() -> None:
    """What is loaded arrives as it was said."""
    info = Info(
        version="1.2.3",
        model=ModelInfo("m", "abc", CATEGORIES, ("sexual_minors",), "1"),
        policies=(
            PolicyInfo("default", "def", "enforce", "text", 12, True),
            PolicyInfo("b", "0", "shadow", "", 1, False, owner="the editors", version="2026-11"),
        ),
        limits=Limits(100, 10, 5, 4096),
    )
    assert wire.info_from_proto(pb.GetInfoResponse.FromString(wire.info_to_proto(info).SerializeToString())) == info


def test_unspecified_direction_is_refused() -> None:
    """A caller must say the direction; none is refused with the field named."""
    with pytest.raises(InvalidInput) as caught:
        wire.content_from_proto(pb.Content(text="hello"))
    assert [v.field for v in caught.value.violations] == ["direction"]


def test_every_unknown_enum_number_is_named_at_once() -> None:
    """Numbers that this version does not know are refused, all of them in one answer."""
    message = pb.Content.FromString(
        pb.Content(text="hello", context=[pb.Turn(role=pb.ROLE_USER), pb.Turn()]).SerializeToString()
        + b"\x10\x63"  # direction = 99
        + b"\x20\x07"  # origin = 7
    )
    with pytest.raises(InvalidInput) as caught:
        wire.content_from_proto(message)
    assert [v.field for v in caught.value.violations] == ["direction", "origin", "context[1].role"]


def test_unspecified_origin_is_the_user() -> None:
    """A content that does not say its origin comes from the user."""
    message = pb.Content(text="hello", direction=pb.DIRECTION_PROMPT)
    assert wire.content_from_proto(message).origin is Origin.USER


def test_unknown_action_counts_as_block() -> None:
    """A decision of a newer server, with an action that this client does not know, lets nothing pass."""
    message = pb.Decision.FromString(pb.Decision().SerializeToString() + b"\x08\x63")
    assert wire.decision_from_proto(message).action is Action.BLOCK


def test_lone_surrogates_do_not_reach_the_wire() -> None:
    """A string that UTF-8 cannot carry is the caller's mistake, said as such."""
    with pytest.raises(InvalidInput, match="surrogate"):
        wire.content_to_proto(Content(text="a", tags={"k": "\ud800"}))


@given(_contents)
def test_openings_survive_the_wire(content: Content) -> None:
    """What a stream begins with is a content without its text."""
    read = wire.opening_from_proto(wire.opening_to_proto(content))
    assert read == replace(content, text="")
