"""The policy that ships keeps what it promises."""

from __future__ import annotations

import re

from guard.classifier.artifact import DEFAULT_MODEL_DIR, FILES, read_artifact
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.cases import Report, Screen, cases_beside, load_cases, run_cases
from guard.policy.evaluate import evaluate
from guard.policy.load import SHIPPED_DIR, load_policy
from guard.policy.policy import Mode
from guard.policy.store import PolicyStore
from guard.types import CATEGORIES, PII_CATEGORIES, SECRET_CATEGORIES, Action, Detection, Direction, Span

_FILE = SHIPPED_DIR / "default.yaml"
_POLICY = load_policy(_FILE)


def _report(screen: Screen | None) -> Report:
    file = cases_beside(_FILE)
    return run_cases(_POLICY, load_cases(file, _POLICY), screen, str(file))


def test_its_cases_with_scores_pass() -> None:
    """Without a model the cases with scores of ``default_test.yaml`` hold and the others are skipped."""
    report = _report(None)
    assert report.failed == 0, "\n".join(report.lines())
    assert report.passed > 0 and report.skipped > 0


def test_all_its_cases_pass_with_the_default_model() -> None:
    """What ships together holds together; masking and the words for both languages come out exactly."""
    report = _report(Engine(Classifier.load(DEFAULT_MODEL_DIR), PolicyStore([_POLICY])).screen)
    assert (report.failed, report.skipped) == (0, 0), "\n".join(report.lines())


def test_the_card_measures_this_policy() -> None:
    """The decisions in the model card were made by the policy that ships, and the scores by the model that ships."""
    card = (DEFAULT_MODEL_DIR / FILES.card).read_text(encoding="utf-8")
    assert f"`{_POLICY.identity}`" in card
    assert read_artifact(DEFAULT_MODEL_DIR).identity in card


def test_it_covers_every_category_in_both_directions() -> None:
    """Whatever scores 1 is acted on in either direction, but for links; what is found in prompts is only reported."""
    for direction in Direction:
        for category in CATEGORIES:
            assert evaluate(_POLICY, direction, {category: 1.0}, ()).action is not Action.ALLOW
        for category in (*PII_CATEGORIES, *SECRET_CATEGORIES):
            assert evaluate(_POLICY, direction, {category: 1.0}, ()).rules
        assert not evaluate(_POLICY, direction, {"url": 1.0}, ()).rules


def test_it_enforces_and_blocks_what_it_cannot_screen() -> None:
    """The default is on, and a failure does not let a text pass."""
    assert (_POLICY.name, _POLICY.mode, _POLICY.on_error) == ("default", Mode.ENFORCE, Action.BLOCK)


def test_it_masks_personal_data_in_outputs_only() -> None:
    """A found place is covered in an output and left alone in a prompt."""
    found = [Detection("pii.phone", Span(3, 14), 1.0, "phone")]
    output = evaluate(_POLICY, Direction.OUTPUT, {}, found)
    prompt = evaluate(_POLICY, Direction.PROMPT, {}, found)
    assert (output.action, output.spans) == (Action.REWRITE, (Span(3, 14),))
    assert (prompt.action, [rule.shadow for rule in prompt.rules]) == (Action.ALLOW, [True])


def test_each_classifier_rule_stands_on_one_line_with_its_threshold() -> None:
    """One rule per category and direction, so that a threshold is changed in one place."""
    lines = re.findall(
        r"^  - \{id: ([\w.]+)-(prompt|output), direction: (prompt|output), category: ([\w.]+), threshold: (0\.\d+), ",
        _FILE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert all(name == category and first == second for name, first, second, category, _ in lines)
    assert sorted((direction, category) for _, direction, _, category, _ in lines) == sorted(
        (direction.value, category) for direction in Direction for category in (*CATEGORIES, "pii", "secret")
    )
    assert len(lines) == len(_POLICY.rules)


def test_it_speaks_both_languages() -> None:
    """Every message has Chinese and English words."""
    messages = [_POLICY.message, *(rule.message for rule in _POLICY.rules if rule.message)]
    assert all(set(message) == {"zh", "en"} for message in messages)
