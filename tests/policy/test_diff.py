"""Two sides decide the same records: what flips, by which rule and where, and whether that is better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InternalError
from guard.policy.comparison import Diff, Effect, Flip, RuleChange
from guard.policy.diff import diff
from guard.policy.pairs import Pair
from guard.policy.policy import Policy
from guard.records import Record
from guard.types import Action, Detection, Direction, Span
from tests.policy.build import policy_of, record_of

_LOW = policy_of("id: hate, category: hate, threshold: 0.3, action: block")
_HIGH = policy_of("id: hate, category: hate, threshold: 0.7, action: block")
_ALLOW, _REWRITE, _BLOCK = Action.ALLOW, Action.REWRITE, Action.BLOCK


def _hate(*scores: float, **fields: Any) -> list[Record]:
    return [record_of(f"r{index}", {"hate": score}, **fields) for index, score in enumerate(scores)]


def _same(old: Policy, new: Policy, records: Iterable[Record], examples: int = 5) -> Diff:
    return diff(old, new, [Pair(record, record) for record in records], examples=examples)


def test_flips_are_counted_in_both_directions() -> None:
    """From one action to another, by label; what stays is counted, too."""
    old = policy_of("id: a, category: hate, threshold: 0.5, action: block")
    new = policy_of(
        "id: a, category: hate, threshold: 0.8, action: block",
        "id: b, category: weapons, threshold: 0.5, action: block",
    )
    records = [
        record_of("1", {"hate": 0.6}, label="compliant"),
        record_of("2", {"hate": 0.6}),
        record_of("3", {"weapons": 0.6}, label="noncompliant"),
        record_of("4", {"hate": 0.9}),
        record_of("5", {"hate": 0.1}),
    ]
    found = _same(old, new, records)
    assert found.flips == (Flip(_BLOCK, _ALLOW, 2, 1, 0), Flip(_ALLOW, _BLOCK, 1, 0, 1))
    assert (found.total.records, found.flipped, found.total.stricter, found.total.looser) == (5, 3, 1, 2)
    assert (found.total.stopped_old, found.total.stopped_new) == (3, 2)


@pytest.mark.parametrize(
    ("old", "new", "label", "effect"),
    [
        (_HIGH, _LOW, "noncompliant", Effect.GAIN),
        (_LOW, _HIGH, "noncompliant", Effect.LOSS),
        (_HIGH, _LOW, "compliant", Effect.LOSS),
        (_LOW, _HIGH, "compliant", Effect.GAIN),
        (_HIGH, _LOW, None, Effect.UNKNOWN),
    ],
)
def test_a_label_tells_gains_from_losses(old: Policy, new: Policy, label: str | None, effect: Effect) -> None:
    """A noncompliant text is decided rightly if it is not allowed, a compliant one if it is."""
    found = _same(old, new, _hate(0.5, label=label))
    assert (found.total.gains, found.total.losses) == (effect is Effect.GAIN, effect is Effect.LOSS)
    assert [example.effect for example in found.examples] == [effect]
    assert found.total.labelled == (label is not None)


def test_a_rewrite_stops_a_text_like_a_block() -> None:
    """Between rewrite and block the action flips and the truth does not."""
    rewrite = policy_of("id: hate, category: hate, threshold: 0.5, action: rewrite")
    found = _same(rewrite, _LOW, _hate(0.9, label="noncompliant"))
    assert found.flips == (Flip(_REWRITE, _BLOCK, 1, 0, 1),)
    assert (found.total.stricter, found.total.gains, found.total.losses) == (1, 0, 0)
    assert found.examples[0].effect is Effect.NONE


def test_the_test_of_gains_and_losses_is_mcnemars() -> None:
    """Ten gains and two losses in all: p = 2 * (1 + 12 + 66) / 4096; each label is tested on its own as well."""
    records = [*_hate(*[0.5] * 10, label="noncompliant"), *_hate(0.5, 0.5, label="compliant"), *_hate(0.1, 0.9)]
    found = _same(_HIGH, _LOW, records)
    assert (found.total.gains, found.total.losses, found.total.p) == (10, 2, 0.03857421875)
    assert (found.noncompliant.gains, found.noncompliant.losses, found.noncompliant.p) == (10, 0, 2 / 2**10)
    assert (found.compliant.records, found.compliant.losses, found.compliant.p) == (2, 2, 0.5)


def test_a_flip_counts_for_the_rules_behind_the_stronger_action() -> None:
    """A rule that is gone explains what is allowed now; shadow rules fire and explain nothing."""
    old = policy_of(
        "id: gone, category: hate, threshold: 0.5, action: block",
        "id: both, category: noncompliant, threshold: 0.5, action: block",
        "id: quiet, category: hate, threshold: 0.5, action: block, shadow: true",
        "id: never, category: weapons, threshold: 0.5, action: block",
    )
    new = policy_of(
        "id: both, category: noncompliant, threshold: 0.9, action: block",
        "id: fresh, category: crime, threshold: 0.5, action: block",
    )
    records = [
        record_of("1", {"hate": 0.6, "noncompliant": 0.6, "weapons": 0.0}, label="compliant"),
        record_of("2", {"hate": 0.6, "noncompliant": 0.1}),
        record_of("3", {"crime": 0.6}),
    ]
    assert _same(old, new, records).rules == (
        RuleChange("gone", 2, None, 0, 2, 1, 0),
        RuleChange("both", 1, 0, 0, 1, 1, 0),
        RuleChange("fresh", None, 1, 1, 0, 0, 0),
        RuleChange("quiet", 2, None, 0, 0, 0, 0),
    )


def test_slices_are_directions_languages_and_tags() -> None:
    """Every record counts in each of its slices; tags stand behind the others, most flips first."""
    records = [
        *_hate(0.5, 0.5, lang="zh", tags={"tenant": "b"}, label="compliant"),
        *_hate(0.5, direction=Direction.OUTPUT, tags={"tenant": "a", "route": "x"}),
    ]
    found = _same(_HIGH, _LOW, records)
    assert [(s.key, s.value, s.tally.records, s.tally.stricter, s.tally.losses) for s in found.slices] == [
        ("direction", "prompt", 2, 2, 2),
        ("direction", "output", 1, 1, 0),
        ("language", "zh", 2, 2, 2),
        ("language", "en", 1, 1, 0),
        ("tags.route", "x", 1, 1, 0),
        ("tags.tenant", "b", 2, 2, 2),
        ("tags.tenant", "a", 1, 1, 0),
    ]
    assert found.slices[0].tally.p == 0.5


def test_examples_are_losses_first_and_then_the_clearest() -> None:
    """Of each kind of flip so many as asked for; gains stand last."""
    scores = {"gain": (0.69, "noncompliant"), "near": (0.4, None), "clear": (0.6, None), "loss": (0.31, "compliant")}
    records = [record_of(name, {"hate": score}, label=label) for name, (score, label) in scores.items()]
    found = [example.id for example in _same(_HIGH, _LOW, records).examples]
    assert found == ["loss", "clear", "near", "gain"]
    assert [e.id for e in _same(_HIGH, _LOW, records, examples=2).examples] == found[:2]
    assert _same(_HIGH, _LOW, records, examples=0).examples == ()
    assert [e.id for e in _same(_HIGH, _LOW, _hate(0.5, 0.5, 0.5), examples=2).examples] == ["r0", "r1"]


def test_an_example_says_what_moved() -> None:
    """The rule farthest above its threshold, its scores on both sides, and the text if a record has it."""
    policy = policy_of(
        "id: hate, category: hate, threshold: 0.5, action: block",
        "id: pii, category: pii, threshold: 0.5, action: block",
    )
    seen = Detection("pii.phone", Span(0, 3), 0.95, "phone")
    old = record_of("a", {"hate": 0.2}, text="139", label="noncompliant")
    new = record_of("a", {"hate": 0.6}, detections=(seen,), model="n@0123456789ab")
    (example,) = diff(policy, policy, [Pair(old, new)]).examples
    assert (example.rule, example.category, example.threshold) == ("pii", "pii", 0.5)
    assert (example.old_score, example.new_score) == (None, 0.95)
    assert (example.text, example.label, example.effect) == ("139", "noncompliant", Effect.GAIN)


def test_each_side_decides_its_own_records() -> None:
    """With two models the old policy reads the old scores and the new policy the new ones."""
    pairs = [Pair(*_hate(0.5), *_hate(0.5, model="n@0123456789ab"))]
    found = diff(_HIGH, _LOW, pairs)
    assert found.flips == (Flip(_ALLOW, _BLOCK, 1, 0, 0),)
    assert (found.old.model, found.new.model) == ("m@0123456789ab", "n@0123456789ab")


def test_records_that_could_not_be_screened_are_left_out() -> None:
    """Nothing but on_error decided them; they are counted in a note."""
    sound, failed = _hate(0.5)[0], record_of("failed", {}, degraded=True)
    found = diff(_HIGH, _LOW, [Pair(sound, sound), Pair(failed, sound), Pair(sound, failed)])
    assert found.total.records == 1
    assert found.notes[0].startswith("left out: 2 records that could not be screened (")


def test_a_compliant_label_about_some_categories_judges_no_decision() -> None:
    """A corpus about hate that calls a text compliant says nothing about weapons; noncompliant is noncompliant."""
    records = [
        *_hate(0.5, label="compliant", about=("hate",)),
        *_hate(0.5, label="compliant", about=("all",)),
        *_hate(0.5, label="noncompliant", about=("hate",)),
    ]
    found = _same(_HIGH, _LOW, records)
    assert (found.total.labelled, found.total.gains, found.total.losses) == (2, 1, 1)
    assert found.notes[0].startswith("counted as unlabelled: 1 compliant records whose label speaks about some")


def test_labels_that_contradict_each_other_judge_nothing() -> None:
    """One file's label counts where the other has none; two different ones are noted."""
    yes, no, unknown = (_hate(0.5, label=label)[0] for label in ("noncompliant", "compliant", None))
    found = diff(_HIGH, _LOW, [Pair(yes, unknown), Pair(unknown, no), Pair(yes, no)])
    assert (found.total.labelled, found.total.gains, found.total.losses) == (2, 1, 1)
    assert found.notes == ("counted as unlabelled: 1 records whose label differs between the two files",)


def test_rules_and_scores_that_do_not_meet_are_noted() -> None:
    """A rule whose category no record scores cannot fire, and a score without a legal category is not used."""
    policy = policy_of(
        "id: hate, category: hate, threshold: 0.5, action: block",
        "id: pii, category: pii, threshold: 0.5, action: block",
    )
    assert _same(policy, policy, [record_of("a", {"hate": 0.1, "rudeness": 0.9})]).notes == (
        "scores of m@0123456789ab that no rule can name: rudeness",
        "no record of m@0123456789ab has a score or a detection for these rules: pii",
    )


def test_nothing_to_compare_is_an_empty_comparison() -> None:
    """Without pairs every count is zero and nothing is warned of."""
    found = diff(_HIGH, _LOW, [])
    assert (found.total.records, found.total.p, found.notes, found.old.model) == (0, 1.0, (), "")


def test_a_score_that_is_no_number_is_never_compared() -> None:
    """NaN reaches no threshold, so it would pass every text."""
    with pytest.raises(InternalError, match="hate"):
        _same(_HIGH, _LOW, _hate(float("nan")))


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["compliant", "noncompliant", None])), max_size=30))
def test_the_other_way_round_gains_are_losses(rows: list[tuple[float, str | None]]) -> None:
    """Exchanging the sides exchanges stricter and looser, gains and losses, and keeps p."""
    records = [record_of(str(i), {"hate": score}, label=label) for i, (score, label) in enumerate(rows)]
    there, back = _same(_HIGH, _LOW, records).total, _same(_LOW, _HIGH, records).total
    assert (there.stricter, there.looser, there.gains, there.losses, there.p) == (
        back.looser, back.stricter, back.losses, back.gains, back.p,
    )  # fmt: skip
