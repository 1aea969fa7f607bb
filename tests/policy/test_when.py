"""Conditions: a rule that is there for some tags and languages, wherever policies decide or are measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guard.errors import PolicyError
from guard.policy.diff import diff
from guard.policy.eval import evaluate_policy
from guard.policy.evaluate import evaluate
from guard.policy.goal import Aim, Goal
from guard.policy.labelled_file import read_labelled
from guard.policy.pairs import Pair
from guard.policy.policy import When
from guard.policy.replay import replay
from guard.policy.tune import Options, tune
from guard.records import Record
from guard.types import Action, Direction
from tests.policy.build import file_of, policy_of, record_of, text_of

_HATE = "id: hate, category: hate, threshold: 0.5, action: block"
_ASKING = _HATE + ", when: {tags: {tenant: [bank, shop], route: chat}, lang: zh}"
_TAGS = {"tenant": "shop", "route": "chat"}


@pytest.mark.parametrize(
    ("language", "tags", "fires"),
    [
        ("zh", _TAGS, True),
        ("zh", {**_TAGS, "more": "x"}, True),
        ("en", _TAGS, False),
        ("zh", {**_TAGS, "tenant": "Shop"}, False),
        ("zh", {"tenant": "shop"}, False),
        ("zh", {}, False),
    ],
)
def test_all_that_is_named_must_hold(language: str, tags: dict[str, str], fires: bool) -> None:
    """Every named tag must have one of its values, and the language must be one of those named."""
    outcome = evaluate(policy_of(_ASKING), Direction.PROMPT, {"hate": 0.9}, (), language=language, tags=tags)
    assert (outcome.action is Action.BLOCK) is fires


def test_one_value_is_a_list_of_one() -> None:
    """Equality and lists are one thing, whatever the order."""
    first, second = (
        policy_of(f"{_HATE}, when: {when}").rules[0].when
        for when in ("{lang: [zh, en], tags: {b: x, a: [y, z]}}", "{tags: {a: [z, y], b: [x]}, lang: [en, zh]}")
    )
    assert first == second == When((("a", frozenset("yz")), ("b", frozenset("x"))), frozenset({"en", "zh"}))


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("{}", "a condition on nothing (write tags, lang or both)"),
        ("{lang: cn}", "an entry of lang is not one of zh, en, other (write one of them)"),
        ("{lang: []}", "lang is empty (write at least one entry)"),
        ("{tags: {}}", "tags is empty (write at least one entry)"),
        ("{tags: {a: 1}}", "an entry of a must be text (put it in quotes)"),
        ("{tags: {a: [x, true]}}", "an entry of a must be text (put it in quotes)"),
        ("{tags: {a: {b: c}}}", "an entry of a must be text (put it in quotes)"),
        ("{tags: {a: []}}", "a is empty (write at least one entry)"),
        ("{tags: [a]}", "tags must be a mapping (write key: value pairs)"),
        ("{tag: {a: b}}", "unknown key tag (did you mean tags?)"),
        ("zh", "when must be a mapping (write key: value pairs)"),
    ],
)
def test_what_is_no_condition(when: str, problem: str) -> None:
    """A condition that could never hold, or is no equality, is refused."""
    with pytest.raises(PolicyError) as caught:
        policy_of(f"{_HATE}, when: {when}")
    assert problem in [str(found).split(" ", 1)[1] for found in caught.value.problems]


def _records() -> list[Record]:
    return [
        record_of("a", {"hate": 0.9}, lang="zh", tags=_TAGS, label="noncompliant", categories=("hate",)),
        record_of("b", {"hate": 0.9}, lang="en", tags=_TAGS, label="compliant"),
        record_of("c", {"hate": 0.9}, lang="zh", label="compliant"),
        record_of("d", {"hate": 0.1}, lang="zh", tags=_TAGS, label="compliant"),
    ]


def test_replay_and_diff_ask_the_records() -> None:
    """A logged text is the rule's business by the record's own tags and language."""
    policy, plain = policy_of(_ASKING), policy_of(_HATE)
    found = replay(policy, _records())
    assert (found.rules[0].now, found.undecidable) == (1, 0)
    compared = diff(plain, policy, [Pair(record, record) for record in _records()])
    assert (compared.total.stopped_old, compared.total.stopped_new) == (3, 1)


def test_eval_counts_what_is_the_rules_business(tmp_path: Path) -> None:
    """A rule is measured on the texts that it is there for; the policy on all."""
    policy = policy_of(_ASKING)
    labelled = read_labelled(file_of(tmp_path / "r.jsonl", *_records()), policy.columns, policy.tags)
    assert labelled.concerns(policy.rules[0]).tolist() == [True, False, False, True]
    found = evaluate_policy(policy, labelled)
    assert (found.rules[0].measures.positives, found.rules[0].measures.negatives) == (1, 1)
    assert (found.decision.found, found.decision.false_alarms, found.decision.negatives) == (1, 0, 3)


def test_a_tag_that_is_asked_for_is_kept_whatever_its_values(tmp_path: Path) -> None:
    """A tag with many values is no slice, and a condition on it holds all the same."""
    policy = policy_of(f"{_HATE}, when: {{tags: {{user: u7}}}}")
    records = [
        record_of(f"r{i}", {"hate": 0.9}, tags={"user": f"u{i}", "other": f"o{i}"}, label="compliant")
        for i in range(80)
    ]
    labelled = read_labelled(file_of(tmp_path / "r.jsonl", *records), policy.columns, policy.tags)
    assert np.flatnonzero(labelled.concerns(policy.rules[0])).tolist() == [7]
    assert [found.key for found in evaluate_policy(policy, labelled).slices if found.key.startswith("tags.")] == []
    absent = policy_of(f"{_HATE}, when: {{tags: {{nobody: has}}}}")
    assert not labelled.concerns(absent.rules[0]).any()


def test_tune_moves_a_rule_on_its_own_texts(tmp_path: Path) -> None:
    """The threshold of a rule on Chinese is chosen by Chinese texts, and bound to the whole policy."""
    rows = [
        record_of(
            f"{lang}{i}",
            {"hate": i / 100 + (0.2 if lang == "en" else 0.0)},
            lang=lang,
            label="noncompliant" if i >= 50 else "compliant",
            categories=("hate",) if i >= 50 else None,
        )
        for lang in ("zh", "en")
        for i in range(80)
    ]
    policy = policy_of("id: hate, category: hate, threshold: 0.9, action: block, when: {lang: zh}")
    labelled = read_labelled(file_of(tmp_path / "r.jsonl", *rows), policy.columns, policy.tags)
    found = tune(policy, labelled, Goal(Aim.MAX_FPR, 0.0), Options(holdout=0.0, min_records=5))
    assert 0.49 < found.thresholds()["hate"] <= 0.5
    assert found.parts[0].rules[0].positives == 30
    per_rule = tune(policy, labelled, Goal(Aim.MAX_FPR, 0.0), Options(holdout=0.0, min_records=5, per_rule=True))
    assert per_rule.thresholds() == found.thresholds()


def test_a_text_of_the_policy_keeps_its_conditions() -> None:
    """The condition of a rule is no part of another rule of the same category."""
    text = text_of([_ASKING, "id: all, category: hate, threshold: 0.8, action: block"])
    assert text.count("when") == 1
    policy = policy_of(_ASKING, "id: all, category: hate, threshold: 0.8, action: block")
    outcome = evaluate(policy, Direction.PROMPT, {"hate": 0.9}, ())
    assert [rule.id for rule in outcome.rules] == ["all"]
