"""The results of a policy's cases as JUnit XML, which every CI system shows. Pure.

The form is the one that Ant and Maven Surefire write: a suite a file, a case a case, a failure with its lines.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from guard.policy.cases import CaseResult, Report

#: The case that stands for the rule coverage where a least share is asked for.
COVERAGE = "rule coverage"

# What XML 1.0 has no place for, not even as an escape.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, policy: str, min_coverage: float | None = None) -> str:
    """A report as XML.

    Args:
        report: What ran.
        policy: Name of the policy: the suite's, and the cases' class.
        min_coverage: The least share of rules, 0..1; a case of its own then says whether it holds.

    Returns:
        The document, with its declaration; what XML cannot carry is shown as U+FFFD.
    """
    short = min_coverage is not None and report.coverage < min_coverage
    counts = {
        "tests": str(len(report.results) + (min_coverage is not None)),
        "failures": str(report.failed + short),
        "errors": "0",
        "skipped": str(report.skipped),
    }
    top = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(top, "testsuite", {"name": policy, "file": _legal(report.file), **counts})
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", {"name": "rule_coverage", "value": f"{report.coverage:.4f}"})
    for result in report.results:
        _case(suite, result, report.file, policy)
    if min_coverage is not None:
        case = ElementTree.SubElement(suite, "testcase", {"classname": policy, "name": COVERAGE})
        if short:
            _failure(case, [f"no case fires {rule}" for rule in report.uncovered])
    ElementTree.indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(top, encoding="unicode")}\n'


def _case(suite: ElementTree.Element, result: CaseResult, file: str, policy: str) -> None:
    place = {"file": _legal(file), "line": str(result.case.line)}
    case = ElementTree.SubElement(suite, "testcase", {"classname": policy, "name": _legal(result.case.name), **place})
    if result.failures:
        _failure(case, [f"{file}:{result.case.line}: {failure}" for failure in result.failures])
    if result.skipped:
        ElementTree.SubElement(case, "skipped", {"message": "it needs a model"})


def _failure(case: ElementTree.Element, lines: list[str]) -> None:
    failure = ElementTree.SubElement(case, "failure", {"message": _legal(lines[0]), "type": "failure"})
    failure.text = _legal("\n".join(lines))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
