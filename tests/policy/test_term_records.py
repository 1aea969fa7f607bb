"""Records of texts that were looked through for terms, and of texts that were not: nothing is taken for "not found"."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from guard.content import make_content
from guard.engine import Engine
from guard.policy.diff import diff
from guard.policy.eval import evaluate_policy
from guard.policy.goal import Aim, Goal
from guard.policy.labelled_file import read_labelled
from guard.policy.load import parse_policy
from guard.policy.pairs import Pair
from guard.policy.policy import Policy
from guard.policy.replay import replay
from guard.policy.store import PolicyStore
from guard.policy.tune import Options, tune
from guard.records import Annotation, Record
from guard.stream import screen_stream
from guard.types import Action, Decision, Direction
from guard.wire import decision_from_proto, decision_to_proto
from tests.policy.build import file_of, record_of


def _policy(terms: str = "acme", threshold: float = 0.5, allow: str = "the bomb", name: str = "default") -> Policy:
    return parse_policy(
        f"""version: 1
name: {name}
rules:
  - {{id: weapons, category: weapons, threshold: {threshold}, action: block}}
  - {{id: rival, direction: output, terms: [{terms}], action: rewrite}}
  - {{id: mixed, category: violence, threshold: 0.9, terms: [foo], action: block, shadow: true}}
"""
        + (f"allow: [{{terms: [{allow}], rules: [weapons]}}]\n" if allow else ""),
        "p.yaml",
    )


def _log(classifier: Classifier, policy: Policy, *texts: str, label: str | None = None) -> list[Record]:
    engine = Engine(classifier, PolicyStore([policy]))
    out = []
    for number, text in enumerate(texts):
        content = make_content(text, "output")
        record = Record.of(content, engine.screen(content), id=str(number), annotation=Annotation(label))
        out.append(Record.from_json(record.to_json()))
    return out


_TEXTS = ("hello Acme", "hello", "the bomb", "a bomb", "hello foo", "the bomb and a bomb")


def test_a_record_says_what_was_looked_for(tiny_classifier: Classifier) -> None:
    """Each list has a score whether it was found or not; a hit has its place; words never stand there."""
    policy = _policy()
    weapons, rival, mixed = policy.rules
    first, second, *_ = _log(tiny_classifier, policy, *_TEXTS)
    assert (first.scores[rival.term_category], second.scores[rival.term_category]) == (1.0, 0.0)
    assert (first.scores[mixed.term_category], first.action) == (0.0, Action.REWRITE)
    assert first.scores[weapons.allow_category] == first.scores["weapons"]
    assert [(d.category, d.span.start, d.span.end) for d in first.detections] == [(rival.term_category, 6, 10)]
    assert first.output_text == "hello ****"


def test_the_same_terms_are_decided_again(tiny_classifier: Classifier) -> None:
    """A policy with the same lists replays every record, whatever else has changed, as it would screen the text."""
    for changed in (_policy(), _policy(threshold=0.99), _policy(name="other")):
        records = _log(tiny_classifier, _policy(), *_TEXTS)
        found = replay(changed, records)
        assert found.undecidable == 0
        again = [record.action for record in _log(tiny_classifier, changed, *_TEXTS)]
        assert {a.action: a.now for a in found.actions} == {action: again.count(action) for action in Action}


def test_other_terms_are_undecidable(tiny_classifier: Classifier) -> None:
    """Where a list has changed, nobody knows of any text that it did not fire."""
    records = _log(tiny_classifier, _policy(), *_TEXTS)
    found = replay(_policy(terms="acme, hello"), records)
    rival = next(rule for rule in found.rules if rule.id == "rival")
    assert (rival.now, rival.undecidable) == (0, len(_TEXTS))
    # Blocked texts stay blocked whatever a rewrite rule finds.
    assert found.undecidable == len(_TEXTS) - sum(record.action is Action.BLOCK for record in records)


def test_other_allow_terms_are_undecidable_where_the_rule_fires(tiny_classifier: Classifier) -> None:
    """A rule that did not fire is not lifted; one that fires may be, which only the text tells."""
    records = _log(tiny_classifier, _policy(allow=""), *_TEXTS)
    found = replay(_policy(), records)
    weapons = found.rules[0]
    assert (weapons.now, weapons.undecidable, found.undecidable) == (3, 3, 3)
    # Without allow-terms the score of the text itself decides, which every record has.
    plain = replay(_policy(allow=""), _log(tiny_classifier, _policy(), *_TEXTS))
    assert (plain.rules[0].now, plain.rules[0].undecidable) == (3, 0)


def test_a_rule_that_was_not_asked_again_is_undecidable(tiny_classifier: Classifier) -> None:
    """A term beside a score below the threshold was not scored again, so a lower threshold needs the text."""
    records = _log(tiny_classifier, _policy(threshold=0.99), "the bomb")
    assert _policy().rules[0].allow_category not in records[0].scores
    found = replay(_policy(threshold=0.5), records)
    assert (found.rules[0].now, found.rules[0].undecidable) == (1, 1)
    assert replay(_policy(threshold=0.99), records).undecidable == 0


def test_older_logs_are_undecidable_for_terms() -> None:
    """A log of a time without terms says nothing about them, one hit in it included."""
    policy = _policy()
    hit = record_of("x", {"weapons": 0.1, policy.rules[1].term_category: 1.0}, direction=Direction.OUTPUT)
    old = record_of("y", {"weapons": 0.1}, direction=Direction.OUTPUT)
    found = replay(policy, [hit, old])
    assert [(rule.id, rule.now, rule.undecidable) for rule in found.rules] == [
        ("weapons", 0, 0),
        ("rival", 1, 1),
        ("mixed", 0, 2),
    ]
    assert not any("no rule can name" in note for note in found.notes)


def test_diff_says_what_it_takes_as_absent(tiny_classifier: Classifier) -> None:
    """A comparison over records without a word on the terms counts them."""
    records = _log(tiny_classifier, _policy(), *_TEXTS)
    compared = diff(_policy(), _policy(terms="hello"), [Pair(record, record) for record in records])
    assert any(f"{len(_TEXTS)} records without a word on the terms of rival" in note for note in compared.notes)
    assert (compared.total.stopped_old, compared.total.stopped_new) == (3, 2)
    assert diff(_policy(), _policy(), [Pair(record, record) for record in records]).notes == ()


def test_eval_and_tune_see_terms(tiny_classifier: Classifier, tmp_path: Path) -> None:
    """A term is a score of 1 to whoever measures, a lifted rule has its lifted score, and terms are never tuned."""
    policy = _policy()
    records = _log(tiny_classifier, policy, *_TEXTS, label="compliant")
    labelled = read_labelled(file_of(tmp_path / "r.jsonl", *records), policy.columns, policy.tags)
    weapons, rival, mixed = policy.rules
    assert [score >= 0.5 for score in labelled.scores_of(weapons)] == [False, False, False, True, False, True]
    assert labelled.scores_of(rival).tolist() == [1, 0, 0, 0, 0, 0]
    assert (labelled.scores_of(mixed) >= 0.9).tolist() == [False] * 4 + [True, False]
    found = evaluate_policy(policy, labelled)
    assert found.decision.false_alarms == 3 and found.notes == ()
    other = _policy(terms="hello")
    labelled = read_labelled(tmp_path / "r.jsonl", other.columns)
    assert any(
        "6 records without a word on the terms of rival" in note for note in evaluate_policy(other, labelled).notes
    )
    tuned = tune(other, labelled, Goal(Aim.MAX_FPR, 0.5), Options(holdout=0.0, min_records=1))
    assert tuned.parts[0].rules[1].left_alone == "decided by its terms, so it has no threshold"


def test_the_wire_carries_terms(tiny_classifier: Classifier) -> None:
    """A decision with terms is the same behind gRPC."""
    decision = Engine(tiny_classifier, PolicyStore([_policy()])).screen(make_content("acme foo the bomb", "output"))
    assert decision_from_proto(decision_to_proto(decision)) == decision


@pytest.mark.parametrize("step", [1, 3, 7, 100])
def test_a_stream_masks_terms_wherever_its_deltas_end(tiny_classifier: Classifier, step: int) -> None:
    """A term is covered in a stream as in a text, and the record of the stream says what was looked for."""
    policy = parse_policy(
        "version: 1\nname: default\nstreaming: {lookahead: 4, context: 8, step: 8}\n"
        "rules: [{id: rival, terms: [acme corp, 竞品], action: rewrite}]\n",
        "p.yaml",
    )
    engine = Engine(tiny_classifier, PolicyStore([policy]))
    text = "hello world " * 12 + "Acme Corp is 竞品的 " + "hello acme and world " * 12 + "acme  corp"
    deltas = [text[at : at + step] for at in range(0, len(text), step)]
    *pieces, decision = screen_stream(engine, engine.open(make_content("x", "output")), deltas)
    covered = text.replace("Acme Corp", "*" * 9).replace("竞品", "**").replace("acme  corp", "*" * 10)
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == covered
    assert isinstance(decision, Decision)
    found = [text[d.span.start : d.span.end] for d in decision.detections]
    assert found == ["Acme Corp", "竞品", "acme  corp"]
    assert decision.scores[policy.rules[0].term_category] == 1.0


def test_a_stream_says_nothing_that_one_slice_left_open(tiny_classifier: Classifier) -> None:
    """An allow-term that was not asked about in one slice leaves the whole stream without that score."""
    policy = parse_policy(
        "version: 1\nname: default\nstreaming: {lookahead: 4, context: 0, step: 8}\n"
        "rules: [{id: weapons, category: weapons, threshold: 0.99, action: block}]\n"
        "allow: [{terms: [the bomb], rules: [weapons]}]\n",
        "p.yaml",
    )
    engine = Engine(tiny_classifier, PolicyStore([policy]))
    for text, known in (("the bomb " + "hello world " * 20, False), ("hello world " * 20, True)):
        *_, decision = screen_stream(engine, engine.open(make_content("x", "output")), [text])
        assert isinstance(decision, Decision) and decision.chunks > 1
        assert (policy.rules[0].allow_category in decision.scores) is known
