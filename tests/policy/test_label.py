"""Which records are judged first, and what a key says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.policy.label import ANSWERS, Command, Judgement, doubtful_first, read_key
from guard.policy.load import parse_policy
from guard.records import Record
from guard.types import Direction
from tests.policy.build import HEAD, policy_of, record_of

_POLICY = policy_of(
    "id: hate, category: hate, threshold: 0.5, action: block",
    "id: crime, direction: output, category: crime, threshold: 0.9, action: block, shadow: true",
)


def _nothing(record_id: str) -> bool:
    return False


def _order(*records: Record, rules: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    queue = doubtful_first(_POLICY, enumerate(records), _nothing, rules)
    return [(records[doubtful.offset].id, doubtful.rule.id) for doubtful in queue.doubtful]


def test_the_nearest_to_a_threshold_come_first() -> None:
    """Whichever side they are on; by the rules that are asked about the text, those in shadow too."""
    records = (
        record_of("far", {"hate": 0.99}, text="a"),
        record_of("below", {"hate": 0.45}, text="b"),
        record_of("above", {"hate": 0.52}, text="c"),
        record_of("prompt", {"hate": 0.1, "crime": 0.9}, text="d"),
        record_of("output", {"hate": 0.1, "crime": 0.9}, text="e", direction=Direction.OUTPUT),
    )
    assert _order(*records) == [
        ("output", "crime"), ("above", "hate"), ("below", "hate"), ("prompt", "hate"), ("far", "hate"),
    ]  # fmt: skip
    assert _order(*records, rules=("crime",)) == [("output", "crime")]


def test_what_is_not_asked_is_counted() -> None:
    """Judged before, labelled, without text, repeated, not scored."""
    records = (
        record_of("1", {"hate": 0.5}, text="a"),
        record_of("2", {"hate": 0.5}, text="a"),
        record_of("3", {"hate": 0.5}, text="a", direction=Direction.OUTPUT),
        record_of("4", {"hate": 0.5}, text="b", label="compliant"),
        record_of("5", {"hate": 0.5}),
        record_of("6", {"violence": 0.5}, text="c"),
        record_of("7", {}, text="d", degraded=True),
        record_of("8", {"hate": 0.5}, text="e"),
    )
    queue = doubtful_first(_POLICY, enumerate(records), {"8"}.__contains__)
    assert [doubtful.offset for doubtful in queue.doubtful] == [0, 2]
    assert (queue.seen, queue.done, queue.labelled, queue.without_text, queue.repeated, queue.unasked) == (
        8, 1, 1, 1, 1, 2,
    )  # fmt: skip
    assert len(queue.notes()) == 4


def test_terms_are_not_in_doubt() -> None:
    """A found term is certain: the text is not asked about for its sake."""
    policy = parse_policy(
        HEAD + "  - {id: word, terms: [dunderhead], action: block}\n"
        "  - {id: both, category: hate, threshold: 0.5, terms: [dunderhead], action: block}\n",
        "p.yaml",
    )
    word, both = (rule.term_category for rule in policy.rules)
    found = record_of("a", {"hate": 0.4, word: 1.0, both: 1.0}, text="a")
    absent = record_of("b", {"hate": 0.4, word: 0.0, both: 0.0}, text="b")
    queue = doubtful_first(policy, enumerate([found, absent]), _nothing)
    assert [(doubtful.offset, doubtful.rule.id) for doubtful in queue.doubtful] == [(1, "both")]


def test_keys() -> None:
    """Yes, no, categories by name and number, and commands."""
    assert read_key("y\n") == read_key(" YES ") == Judgement("compliant", ())
    assert read_key("n") == Judgement("noncompliant", None)
    assert read_key("1, crime 1") == Judgement("noncompliant", (ANSWERS[0], "crime"))
    assert read_key("other") == Judgement("noncompliant", ("other",))
    assert [read_key(key) for key in "sbq?"] == list(Command)
    assert read_key("haet") == "'haet' is no answer (did you mean hate?)"
    for wrong in ("", "0", "99", "99999999999", "１", "y n", "noncompliant"):
        assert " answer (" in str(read_key(wrong))


def test_a_judged_record_keeps_everything_else() -> None:
    """Only label, categories and what they speak about are written."""
    record = record_of("a", {"hate": 0.5}, text="a", about=("hate",))
    judged = Judgement("noncompliant", ("hate",)).of(record)
    assert (judged.label, judged.categories, judged.about) == ("noncompliant", ("hate",), None)
    assert (judged.id, judged.scores, judged.text) == (record.id, record.scores, record.text)


@given(st.text(max_size=12))
@settings(deadline=None)
def test_any_line_is_answered(line: str) -> None:
    """Whatever is typed is a judgement, a command or one line on what is wrong."""
    answer = read_key(line)
    assert isinstance(answer, Judgement | Command | str)
