"""Tests of policies: how cases are read, run and reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier, Query
from guard.errors import InvalidInput, PolicyError
from guard.normalize import normalize
from guard.policy.cases import (
    Case,
    Screen,
    cases_beside,
    load_cases,
    policy_beside,
    run_cases,
)
from guard.policy.evaluate import evaluate, message_for
from guard.policy.policy import Policy
from guard.types import Action, Content, Decision, Direction, Role, Turn
from tests.policy.build import policy_of

_POLICY = policy_of(
    "id: weapons, category: weapons, threshold: 0.5, action: block",
    "id: fraud, direction: output, category: fraud_spam, threshold: 0.5, action: rewrite, message: {en: fraud words}",
    "id: mask, category: pii, threshold: 0.5, action: rewrite, rewrite: mask",
    "id: trial, category: hate, threshold: 0.5, action: block, shadow: true",
)


def _load(tmp_path: Path, *cases: str, policy: Policy = _POLICY) -> tuple[Case, ...]:
    file = tmp_path / "p_test.yaml"
    file.write_text("cases:\n" + "".join(f"  - {{{case}}}\n" for case in cases), encoding="utf-8")
    return load_cases(file, policy)


def _problems(tmp_path: Path, *cases: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        _load(tmp_path, *cases)
    return [str(problem).removeprefix(f"{tmp_path / 'p_test.yaml'}:") for problem in caught.value.problems]


def _failures(tmp_path: Path, case: str, screen: Screen | None = None) -> tuple[str, ...]:
    return run_cases(_POLICY, _load(tmp_path, f"name: c, {case}"), screen).results[0].failures


@pytest.fixture(name="screen")
def _screen(tiny_classifier: Classifier) -> Screen:
    """The screening path in short: normalise, score, evaluate, answer."""

    def screen(content: Content) -> Decision:
        scored = tiny_classifier.score(Query(normalize(content.text).text, content.direction, content.context))
        outcome = evaluate(_POLICY, content.direction, scored.scores, ())
        output = content.text if outcome.action is Action.ALLOW else message_for(_POLICY, outcome, "en")
        return Decision(
            outcome.action, output, outcome.rules, scored.scores, (), content.policy, "tiny", 1, scored.tokens, "en"
        )

    return screen


def test_every_key_reaches_the_case(tmp_path: Path) -> None:
    """A case carries what its file says and the line where it stands."""
    text, scores = _load(
        tmp_path,
        "name: a, text: hello, direction: output, lang: en, "
        "context: [{role: system, text: s}, {role: user, text: u}], "
        "expect: {action: rewrite, rules: [fraud], output: x}",
        "name: b, scores: {weapons: 1, pii.phone: 0.5}, expect: {action: block}",
    )
    assert text == Case(
        "a", 2, Direction.OUTPUT, "hello", None, (Turn(Role.SYSTEM, "s"), Turn(Role.USER, "u")), "en",
        Action.REWRITE, ("fraud",), "x",
    )  # fmt: skip
    assert (scores.scores, scores.text, scores.direction, scores.line) == (
        {"weapons": 1.0, "pii.phone": 0.5}, None, Direction.PROMPT, 3
    )  # fmt: skip


def test_a_context_of_text_is_one_turn_of_the_user(tmp_path: Path) -> None:
    """The short form of a context says what the user asked."""
    (case,) = _load(tmp_path, "name: a, text: x, context: why, expect: {action: allow}")
    assert case.context == (Turn(Role.USER, "why"),)


def test_cases_with_scores_pass_without_a_model(tmp_path: Path) -> None:
    """Scores alone are decided by the policy alone."""
    cases = _load(
        tmp_path,
        "name: block, scores: {weapons: 0.5}, expect: {action: block, rules: [weapons], output: policy words}",
        "name: allow, scores: {weapons: 0.4}, expect: {action: allow}",
        "name: zh, lang: zh, scores: {weapons: 0.5}, expect: {action: block, output: 政策的话}",
        "name: rewrite, direction: output, scores: {fraud_spam: 1}, expect: {action: rewrite, output: fraud words}",
        "name: mask, scores: {pii.email: 1}, expect: {action: rewrite, rules: [mask]}",
        "name: trial, scores: {hate: 1}, expect: {action: allow, rules: [trial]}",
    )
    report = run_cases(_POLICY, cases, None)
    assert (report.passed, report.failed, report.skipped) == (6, 0, 0)


def test_cases_with_a_text_are_skipped_without_a_model(tmp_path: Path) -> None:
    """A case that could not run neither passes nor fails, and the report says so."""
    report = run_cases(_POLICY, _load(tmp_path, "name: a, text: x, expect: {action: allow}"), None)
    assert (report.passed, report.failed, report.skipped) == (0, 0, 1)
    assert report.lines() == ("skip  a", "0 passed, 0 failed, 1 skipped (they need a model)")


def test_cases_with_a_text_are_screened(tmp_path: Path, screen: Screen) -> None:
    """A text goes through the model in its direction."""
    cases = _load(
        tmp_path,
        "name: a, text: a bomb, expect: {action: block, rules: [weapons], output: policy words}",
        "name: b, text: hello world, lang: en, expect: {action: allow, output: hello world}",
        "name: c, text: scam, expect: {action: allow}",
        "name: d, text: scam, direction: output, context: hello, expect: {action: rewrite, output: fraud words}",
    )
    report = run_cases(_POLICY, cases, screen)
    assert report.lines()[-1] == "4 passed, 0 failed"


def test_the_screen_gets_the_case_and_the_policy(tmp_path: Path) -> None:
    """Text, direction, context and the policy's name are what the screening path is asked."""
    asked: list[Content] = []

    def screen(content: Content) -> Decision:
        asked.append(content)
        raise InvalidInput.of("text", "blank", "write one")

    (failure,) = _failures(tmp_path, "text: t, direction: output, context: q, expect: {action: allow}", screen)
    assert asked == [Content("t", direction=Direction.OUTPUT, context=(Turn(Role.USER, "q"),), policy="p")]
    assert failure == "not screened: text: blank (write one)"


def test_a_degraded_decision_is_a_failure(tmp_path: Path) -> None:
    """A block because nothing could be screened proves nothing about the policy."""

    def screen(content: Content) -> Decision:
        return Decision(Action.BLOCK, "", (), {}, (), "p", "m", 0, 0, "en", degraded=True)

    assert "not screened" in _failures(tmp_path, "text: t, expect: {action: block}", screen)[0]


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        (
            "scores: {weapons: 0.4, hate: 0.1}, expect: {action: block}",
            "expected block, got allow (nothing fired; highest: weapons 0.40, hate 0.10)",
        ),
        (
            "scores: {weapons: 0.9}, expect: {action: allow}",
            "expected allow, got block (fired: weapons weapons 0.90 >= 0.50)",
        ),
        (
            "scores: {weapons: 0.9}, expect: {action: block, rules: [mask]}",
            "rule mask did not fire (fired: weapons weapons 0.90 >= 0.50)",
        ),
        (
            "scores: {weapons: 0.9}, expect: {action: block, output: no}",
            "expected output 'no', got 'policy words'",
        ),
        (
            "scores: {pii: 0.9}, expect: {action: rewrite, output: no}",
            "expected output 'no', got no text, which scores alone cannot give",
        ),
        ("scores: {}, expect: {action: block}", "expected block, got allow (nothing fired; highest: no score)"),
    ],
)
def test_a_failure_says_what_was_expected_and_what_came(tmp_path: Path, case: str, failure: str) -> None:
    """Each broken expectation is one line with the scores behind it."""
    assert _failures(tmp_path, case) == (failure,)


def test_a_language_that_was_not_detected_is_a_failure(tmp_path: Path, screen: Screen) -> None:
    """With a text, ``lang`` is an expectation."""
    assert _failures(tmp_path, "text: hello, lang: zh, expect: {action: allow}", screen) == (
        "expected language zh, got en",
    )


def test_the_report_has_a_line_a_case_and_the_place_of_each_failure(tmp_path: Path) -> None:
    """People see which case failed, where it stands and why."""
    cases = _load(
        tmp_path,
        "name: good, scores: {weapons: 1}, expect: {action: block}",
        "name: bad, scores: {weapons: 1}, expect: {action: allow, rules: [mask]}",
    )
    lines = run_cases(_POLICY, cases, None, "p_test.yaml").lines()
    assert lines[0] == "pass  good"
    assert lines[1] == "FAIL  bad"
    assert lines[2].startswith("      p_test.yaml:3: expected allow, got block")
    assert lines[3].startswith("      p_test.yaml:3: rule mask did not fire")
    assert lines[4] == "1 passed, 1 failed"


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("name: a, expect: {action: allow}", "2:5: a case without text or scores (write either text or scores)"),
        (
            "name: a, text: x, scores: {}, expect: {action: allow}",
            "2:5: a case with both text and scores (write either text or scores)",
        ),
        (
            "name: a, scores: {violance: 1}, expect: {action: allow}",
            "2:24: unknown category violance (did you mean violence?)",
        ),
        ("name: a, scores: {hate: 2}, expect: {action: allow}", "2:30: hate is out of range (a number from 0 to 1)"),
        (
            "name: a, scores: {hate: 1}, expect: {action: allow, rules: [weapon]}",
            "2:66: the policy has no rule weapon (did you mean weapons?)",
        ),
        (
            "name: a, scores: {hate: 1}, context: x, expect: {action: allow}",
            "2:34: context is not read with scores (remove it)",
        ),
        ("name: a, text: x", "2:5: an entry of cases has no expect (add expect: ...)"),
        ("name: a, text: x, expect: {}", "2:32: expect has no action (add action: ...)"),
        ("name: a, text: ' ', expect: {action: allow}", "2:21: a blank text (write it, or remove the key)"),
        (
            "name: a, text: x, context: [{role: robot, text: x}], expect: {action: allow}",
            "2:41: role is not one of user, assistant, system, tool (write one of them)",
        ),
        ("name: a, text: x, expct: {action: allow}, expect: {action: allow}", "2:24: unknown key expct"),
    ],
)
def test_a_mistake_in_a_case_file_has_its_place(tmp_path: Path, case: str, problem: str) -> None:
    """Case files are refused like policies: line, column, what and cure."""
    assert _problems(tmp_path, case)[0].startswith(problem)


def test_case_names_are_unique_and_all_mistakes_come_at_once(tmp_path: Path) -> None:
    """A name stands for one case; the second mistake is shown with the first."""
    assert _problems(
        tmp_path, "name: a, text: x, expect: {action: allow}", "name: a, text: x, expect: {action: alow}"
    ) == [
        "3:12: a case of this name stands on line 2 (give each case a name of its own)",
        "3:41: action is not one of allow, rewrite, block (did you mean allow?)",
    ]


def test_policies_and_their_cases_find_each_other() -> None:
    """``x.yaml`` is tested by ``x_test.yaml`` beside it."""
    assert cases_beside(Path("d/x.yaml")) == Path("d/x_test.yaml")
    assert policy_beside(Path("d/x_test.yaml")) == policy_beside(Path("d/x.yaml")) == Path("d/x.yaml")
