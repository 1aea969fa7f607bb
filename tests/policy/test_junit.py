"""The results of cases as JUnit XML, and the rules that they cover."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from guard.policy.cases import Report, load_cases, run_cases
from guard.policy.junit import COVERAGE, junit
from tests.policy.build import policy_of

_POLICY = policy_of(
    "id: hate, category: hate, threshold: 0.5, action: block",
    "id: trial, category: violence, threshold: 0.5, action: block, shadow: true",
    "id: weapons, category: weapons, threshold: 0.5, action: block",
)
_CASES = """\
cases:
  - {name: hate is blocked, scores: {hate: 0.9}, expect: {action: block}}
  - {name: "wrong <&> \\"so\\" \\x01", scores: {weapons: 0.9}, expect: {action: allow}}
  - {name: with a text, text: hello, expect: {action: allow}}
  - {name: watched, scores: {violence: 0.9}, expect: {action: allow}}
"""


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Two cases that pass, one that fails, one that is skipped."""
    path = tmp_path / "p_test.yaml"
    path.write_text(_CASES)
    return run_cases(_POLICY, load_cases(path, _POLICY), None, "p_test.yaml")


def test_a_rule_is_covered_by_a_case_that_passed(report: Report) -> None:
    """Shadow rules count; a rule that fires in a failed case alone is not tested."""
    assert report.uncovered == ("weapons",)
    assert report.coverage == pytest.approx(2 / 3)


def test_every_case_has_its_place_and_what_came_of_it(report: Report) -> None:
    """Counts, places and failures; what XML cannot carry is replaced, and everything else comes back as it was."""
    top = ElementTree.fromstring(junit(report, "p"))
    (suite,) = top
    assert {k: suite.get(k) for k in ("name", "file", "tests", "failures", "skipped", "errors")} == {
        "name": "p", "file": "p_test.yaml", "tests": "4", "failures": "1", "skipped": "1", "errors": "0",
    }  # fmt: skip
    cases = suite.findall("testcase")
    assert [(c.get("name"), c.get("line"), [child.tag for child in c]) for c in cases] == [
        ("hate is blocked", "2", []),
        ('wrong <&> "so" \ufffd', "3", ["failure"]),
        ("with a text", "4", ["skipped"]),
        ("watched", "5", []),
    ]
    failure = cases[1].find("failure")
    assert failure is not None
    assert (failure.text or "").startswith("p_test.yaml:3: expected allow, got block (fired: weapons")
    assert suite.find("properties/property[@name='rule_coverage']").get("value") == "0.6667"  # type: ignore[union-attr]


@pytest.mark.parametrize(("least", "failures"), [(0.5, "1"), (0.9, "2")])
def test_coverage_is_a_case_of_its_own(report: Report, least: float, failures: str) -> None:
    """A least share of rules is a case beside the others, which names what no case fires."""
    (suite,) = ElementTree.fromstring(junit(report, "p", least))
    case = suite.findall("testcase")[-1]
    assert (case.get("name"), suite.get("tests"), suite.get("failures")) == (COVERAGE, "5", failures)
    assert ("no case fires weapons" in "".join(case.itertext())) is (failures == "2")
