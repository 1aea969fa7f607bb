"""Thresholds chosen on one part of the records and reported on the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.policy.goal import Aim, Goal
from guard.policy.labelled import Labelled
from guard.policy.labelled_file import read_labelled
from guard.policy.policy import Policy
from guard.policy.split import held_out
from guard.policy.tune import Options, tune
from guard.policy.tuning import RuleTuning, Tuning
from guard.records import Record
from guard.types import Direction
from tests.policy.build import file_of, policy_of, record_of

_HATE = "id: hate, category: hate, threshold: 0.5, action: block"
_ANY = "id: any, category: noncompliant, threshold: 0.5, action: block"
_ONE_PERCENT = Goal(Aim.MAX_FPR, 0.01)
_ALL = Options(holdout=0.0, min_records=1)


def _records(count: int = 1000, seed: int = 0, **fields: Any) -> list[Record]:
    """Texts of which a fifth are in hate, scored with some noise."""
    rng = np.random.default_rng(seed)
    out = []
    for index in range(count):
        bad = rng.random() < 0.2
        scores = {
            name: float(np.clip(rng.normal(0.65 if bad else 0.3, 0.12), 0, 1)) for name in ("hate", "noncompliant")
        }
        truth = {"label": "noncompliant", "categories": ("hate",)} if bad else {"label": "compliant"}
        out.append(record_of(f"{seed}-{index}", scores, **{**truth, **fields}))
    return out


def _read(tmp_path: Path, policy: Policy, *records: Record) -> Labelled:
    return read_labelled(file_of(tmp_path / "r.jsonl", *records), [rule.category for rule in policy.rules])


def _tune(tmp_path: Path, policy: Policy, records: list[Record], goal: Goal, options: Options = _ALL) -> Tuning:
    return tune(policy, _read(tmp_path, policy, *records), goal, options)


def _rules(found: Tuning) -> dict[str, RuleTuning]:
    (part,) = found.parts
    return {rule.id: rule for rule in part.rules}


def _hand(*rows: tuple[float, float, bool], **fields: Any) -> list[Record]:
    """Records by hand: scores of hate and noncompliant, and whether they are in hate."""
    truths: list[dict[str, Any]] = [{"label": "compliant"}, {"label": "noncompliant", "categories": ("hate",)}]
    return [
        record_of(f"h{index}", {"hate": hate, "noncompliant": other}, **{**truths[bad], **fields})
        for index, (hate, other, bad) in enumerate(rows)
    ]


def test_one_rule_under_a_bound(tmp_path: Path) -> None:
    """The lowest threshold that no compliant text reaches, midway to the first text that it has to find."""
    records = _hand((0.9, 0, True), (0.7, 0, True), (0.6, 0, False), (0.2, 0, True), (0.1, 0, False))
    found = _tune(tmp_path, policy_of(_HATE), records, Goal(Aim.MAX_FPR, 0.0))
    rule = _rules(found)["hate"]
    assert (rule.old, rule.new, found.met) == (0.5, 0.65, True)
    change = found.parts[0].directions[0].fitted
    assert (change.before.false_alarms, change.after.false_alarms, change.before.found, change.after.found) == (
        1,
        0,
        2,
        2,
    )


def test_the_bound_is_the_whole_policys(tmp_path: Path) -> None:
    """Two rules that stop the same compliant text cost it once; with --per-rule each has the bound of its own."""
    rows = [
        (0.9, 0.1, True),
        (0.1, 0.9, True),
        (0.8, 0.1, False),
        (0.1, 0.8, False),
        (0.7, 0.1, True),
        (0.1, 0.7, True),
    ]
    records = _hand(*rows, *[(0.0, 0.0, False)] * 8)
    policy, goal = policy_of(_HATE, _ANY), Goal(Aim.MAX_FPR, 0.1)
    whole = _tune(tmp_path, policy, records, goal)
    change = whole.parts[0].directions[0].fitted.after
    assert (change.false_alarms, change.negatives, change.found) == (1, 10, 3)
    each = _tune(tmp_path, policy, records, goal, Options(0.0, per_rule=True, min_records=1))
    change = each.parts[0].directions[0].fitted.after
    assert (change.false_alarms, change.found, each.met) == (2, 4, True)
    assert all(rule.held_out.after.false_alarms == 1 for rule in _rules(each).values())


def test_every_direction_has_the_bound_of_its_own(tmp_path: Path) -> None:
    """A rule on both directions is bounded by the one in which it raises more false alarms."""
    prompts = _hand((0.9, 0, True), (0.6, 0, False), (0.55, 0, True))
    outputs = [replace(r, id=f"o{r.id}", direction=Direction.OUTPUT) for r in _hand((0.8, 0, True), (0.2, 0, False))]
    found = _tune(tmp_path, policy_of(_HATE), prompts + outputs, Goal(Aim.MAX_FPR, 0.0))
    assert 0.6 < _rules(found)["hate"].new <= 0.8
    assert [d.fitted.after.found for d in found.parts[0].directions] == [1, 1]
    apart = policy_of(_HATE + ", direction: prompt", _HATE.replace("hate,", "out,", 1) + ", direction: output")
    rules = _rules(_tune(tmp_path, apart, prompts + outputs, Goal(Aim.MAX_FPR, 0.0)))
    assert 0.6 < rules["hate"].new <= 0.9 and 0.2 < rules["out"].new <= 0.8


def test_recall_and_cost(tmp_path: Path) -> None:
    """The fewest false alarms for a recall; the cheapest threshold for two prices."""
    records = _hand((0.9, 0, True), (0.8, 0, False), (0.7, 0, False), (0.6, 0, True), (0.1, 0, False))
    policy = policy_of(_HATE)
    assert _rules(_tune(tmp_path, policy, records, Goal(Aim.MIN_RECALL, 0.5)))["hate"].new == 0.85
    assert 0.1 < _rules(_tune(tmp_path, policy, records, Goal(Aim.MIN_RECALL, 1.0)))["hate"].new <= 0.6
    assert 0.1 < _rules(_tune(tmp_path, policy, records, Goal(Aim.COST, fp=1, fn=5)))["hate"].new <= 0.6
    assert 0.8 < _rules(_tune(tmp_path, policy, records, Goal(Aim.COST, fp=5, fn=1)))["hate"].new <= 0.9


def test_a_rule_that_adds_nothing_still_fires_on_its_own(tmp_path: Path) -> None:
    """Where another rule stops its texts already, it goes down as far as that costs no false alarm."""
    records = _hand((0.9, 0.9, True), (0.3, 0.8, True), (0.25, 0.7, False), (0.2, 0.1, True))
    rules = _rules(_tune(tmp_path, policy_of(_HATE, _ANY), records, Goal(Aim.MAX_FPR, 0.0)))
    assert 0.25 < rules["hate"].new <= 0.3 and 0.7 < rules["any"].new <= 0.8


def test_a_threshold_that_serves_the_goal_stays(tmp_path: Path) -> None:
    """Nothing changes that need not."""
    records = _hand((0.9, 0, True), (0.1, 0, False))
    found = _tune(tmp_path, policy_of(_HATE), records, Goal(Aim.MAX_FPR, 0.0))
    assert (_rules(found)["hate"].new, found.thresholds()) == (0.5, {})


def test_rungs_move_together(tmp_path: Path) -> None:
    """The lowest is chosen; the one above keeps its share of what is stopped, and its place above."""
    policy = policy_of(
        "id: soft, category: hate, threshold: 0.5, action: rewrite",
        _HATE.replace("0.5", "0.7").replace("hate,", "hard,", 1),
    )
    found = _tune(tmp_path, policy, _records(), Goal(Aim.MIN_RECALL, 0.99))
    rules = _rules(found)
    assert rules["soft"].new < 0.5 and rules["soft"].new < rules["hard"].new < 0.7
    shares = []
    for when in ("before", "after"):
        soft, hard = (getattr(rules[name].held_out, when) for name in ("soft", "hard"))
        shares.append((hard.found + hard.false_alarms) / (soft.found + soft.false_alarms))
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_too_few_records_leave_a_rule_alone(tmp_path: Path) -> None:
    """It says so, keeps its threshold, and what it stops counts against the others' bound."""
    policy = policy_of(
        _HATE,
        "id: rare, category: weapons, threshold: 0.5, action: block",
        "id: none, category: crime, threshold: 0.5, action: block",
        "id: quiet, category: hate, threshold: 0.5, action: block, shadow: true",
        "id: note, category: hate, threshold: 0.5, action: allow",
    )
    records = [record_of(f"w{i}", {"weapons": 0.9}, label="compliant") for i in range(3)] + _records(300)
    found = _tune(tmp_path, policy, records, _ONE_PERCENT, Options(holdout=0.0))
    alone = {name: rule.left_alone for name, rule in _rules(found).items()}
    assert alone["hate"] == ""
    assert alone["rare"].startswith("too few labelled records: 0 in its category, 303 not (20 of each needed)")
    assert alone["none"] == "no record has a score or a detection for it"
    assert alone["quiet"].startswith("in shadow") and alone["note"].startswith("reports only")
    assert {rule.new for name, rule in _rules(found).items() if name != "hate"} == {0.5}
    # Three false alarms that nobody can take back are more than one percent of some 240 texts.
    assert (found.met, found.parts[0].directions[0].fitted.after.false_alarms) == (False, 3)
    each = _tune(tmp_path, policy, records, _ONE_PERCENT, Options(holdout=0.0, per_rule=True))
    assert each.met and _rules(each)["quiet"].new == _rules(each)["hate"].new != 0.5


def test_nothing_to_tune_is_no_failure(tmp_path: Path) -> None:
    """Everything is left alone, so no bound is asked for."""
    found = _tune(tmp_path, policy_of(_HATE), _hand((0.9, 0, True), (0.9, 0, False)), _ONE_PERCENT, Options())
    assert found.met and found.thresholds() == {}
    assert not found.parts[0].directions[0].tuned


def test_a_bound_that_cannot_be_met(tmp_path: Path) -> None:
    """What scores 1 is stopped at every threshold; the best that can is given."""
    records = _hand((1.0, 0, False), (0.9, 0, False), (0.8, 0, True), (0.95, 0, True))
    found = _tune(tmp_path, policy_of(_HATE), records, Goal(Aim.MAX_FPR, 0.0))
    (direction,) = found.parts[0].directions
    assert (found.met, direction.met, direction.fitted.after.false_alarms, direction.fitted.after.found) == (
        False,
        False,
        1,
        1,
    )


def test_records_are_held_out_by_their_texts(tmp_path: Path) -> None:
    """The same share of each direction and label, the same texts in every file, and other measures than the fit's."""
    policy, records = policy_of(_HATE), _records(600) + _records(400, 1, direction=Direction.OUTPUT)
    labelled = _read(tmp_path, policy, *records)
    held = held_out(labelled, 0.25)
    for kind in (labelled.outputs, ~labelled.outputs):
        for truth in (0, 1):
            members = kind & (labelled.of_decision() == truth)
            assert abs(held[members].sum() - 0.25 * members.sum()) <= 0.5
    assert np.array_equal(held_out(_read(tmp_path, policy, *reversed(records)), 0.25), held[::-1])
    found = tune(policy, labelled, _ONE_PERCENT, Options(0.25))
    (part,) = found.parts
    assert (part.fitted + part.held_out, part.held_out) == (1000, int(held.sum()))
    prompts = part.directions[0]
    assert prompts.fitted.after.negatives + prompts.held_out.after.negatives == int(
        np.sum(~labelled.outputs & (labelled.of_decision() == 0))
    )
    assert found.holdout == 0.25 and prompts.held_out.after.fpr.high is not None


def test_by_language(tmp_path: Path) -> None:
    """Each language has thresholds of its own; where they differ there is no single one to write."""
    records = _records(600, 0, lang="zh") + [
        record_of(r.id, {name: score / 2 for name, score in r.scores.items()}, label=r.label, categories=r.categories)
        for r in _records(600, 1)
    ]
    found = _tune(tmp_path, policy_of(_HATE), records, _ONE_PERCENT, Options(by_language=True))
    assert [part.language for part in found.parts] == ["en", "zh"]
    english, chinese = (part.rules[0].new for part in found.parts)
    assert english < 0.4 < chinese
    assert (found.divided(), found.thresholds()) == (("hate",), {})


def test_labels_about_some_categories_tune_single_rules_only(tmp_path: Path) -> None:
    """The whole policy's bound counts texts whose label speaks about everything."""
    in_part = record_of("part", {"hate": 0.8}, label="compliant", about=("hate",))
    records = [*_hand((0.9, 0, True), (0.2, 0, False)), in_part]
    policy, goal = policy_of(_HATE), Goal(Aim.MAX_FPR, 0.0)
    assert _rules(_tune(tmp_path, policy, records, goal))["hate"].new == 0.5
    each = _tune(tmp_path, policy, records, goal, Options(0.0, per_rule=True, min_records=1))
    assert _rules(each)["hate"].new == 0.85
