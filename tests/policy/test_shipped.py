"""The policies that ship beside the default one keep what they promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.language import language_of
from guard.policy.cases import cases_beside, load_cases, run_cases
from guard.policy.evaluate import evaluate
from guard.policy.load import SHIPPED_DIR, load_policy, policy_files, resolve_policy
from guard.policy.store import PolicyStore
from guard.types import PII_CATEGORIES, Action, Direction

_FILES = policy_files(SHIPPED_DIR)
_POLICIES = {file.stem: load_policy(file) for file in _FILES}
_DEFAULT = _POLICIES["default"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The model that ships under all of them."""
    return Engine(Classifier.load(DEFAULT_MODEL_DIR), PolicyStore.load(SHIPPED_DIR))


def test_what_ships() -> None:
    """Each is found by its name, which is that of its file."""
    assert set(_POLICIES) == {"default", "strict", "permissive", "privacy", "zh-consumer"}
    for name, policy in _POLICIES.items():
        assert policy.name == name and policy.description
        assert resolve_policy(name) == SHIPPED_DIR / f"{name}.yaml"


@pytest.mark.parametrize("file", [file for file in _FILES if file.stem != "default"], ids=lambda file: file.stem)
def test_its_cases_pass_with_the_default_model(file: Path, engine: Engine) -> None:
    """What ships together holds together."""
    policy = _POLICIES[file.stem]
    report = run_cases(policy, load_cases(cases_beside(file), policy), engine.screen, str(file))
    assert (report.failed, report.skipped) == (0, 0), "\n".join(report.lines())


@pytest.mark.parametrize("name", ["strict", "permissive", "zh-consumer"])
def test_thresholds_follow_the_default_policy(name: str) -> None:
    """What extends the default policy has its model, and its rules where it says nothing else."""
    policy = _POLICIES[name]
    assert policy.calibrated_for == _DEFAULT.calibrated_for
    inherited = {rule.id for rule in policy.rules} & {rule.id for rule in _DEFAULT.rules}
    assert inherited == {rule.id for rule in _DEFAULT.rules}


def test_strict_is_never_looser_than_the_default() -> None:
    """For minors no rule fires later or weaker, and none that acts is taken out."""
    strict = {rule.id: rule for rule in _POLICIES["strict"].rules}
    for rule in _DEFAULT.rules:
        assert strict[rule.id].threshold <= rule.threshold and (rule.shadow or not strict[rule.id].shadow)
        assert strict[rule.id].action.strength >= rule.action.strength


def test_permissive_watches_what_it_does_not_stop() -> None:
    """For developers no rule is gone: what does not act reports, and what is stopped anywhere is stopped here."""
    permissive = {rule.id: rule for rule in _POLICIES["permissive"].rules}
    assert all(permissive[rule.id].threshold == rule.threshold for rule in _DEFAULT.rules)
    for category in ("hate", "violence", "sexual", "sexual_minors", "weapons", "crime", "self_harm"):
        for direction in Direction:
            assert evaluate(_POLICIES["permissive"], direction, {category: 1.0}, ()).action is not Action.ALLOW


def test_privacy_looks_at_personal_data_alone() -> None:
    """Every kind of personal data is masked in both directions, whatever the model."""
    policy = _POLICIES["privacy"]
    assert policy.calibrated_for is None
    assert {rule.category for rule in policy.rules} == set(PII_CATEGORIES) - {"pii"}
    assert all(rule.direction is None and rule.action is Action.REWRITE for rule in policy.rules)


def test_zh_consumer_speaks_chinese_to_everybody() -> None:
    """Every word that a customer reads is Chinese."""
    policy = _POLICIES["zh-consumer"]
    messages = [policy.message, *(rule.message for rule in policy.rules if rule.message)]
    assert all(language_of(text) == "zh" for message in messages for text in message.values())
