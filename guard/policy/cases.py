"""Tests of a policy: cases beside it (``default_test.yaml``), each with a text or with scores alone.

Cases with scores need no model: they pin down what the rules do. Cases with a text go through the whole
screening path and pin down what model and thresholds do together. Pure but for reading the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guard.errors import GuardError, PolicyError, Problem
from guard.policy.evaluate import evaluate, message_for
from guard.policy.load import TEST_ENDING
from guard.policy.policy import Policy
from guard.policy.schema import CaseEntry, CaseFile
from guard.policy.source import Document, read_bytes, read_document
from guard.policy.suggest import did_you_mean
from guard.policy.validate import validate
from guard.types import Action, Content, Decision, Direction, FiredRule, Role, Turn

#: The whole screening path, as the engine offers it.
Screen = Callable[[Content], Decision]


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: Unique in its file.
        line: Where it stands there.
        direction: Direction of the text or of the scores.
        text: The text to screen; None for a case with scores alone.
        scores: Category -> score, 0..1; None for a case with a text.
        context: What came before the text.
        tags: The content's tags.
        language: With scores the language of the message (default en); with a text the one to be detected.
        action: The expected action.
        rules: Rules that must fire, shadow rules included; others may fire too.
        output: The expected text to pass on; None if the case does not say.
    """

    name: str
    line: int
    direction: Direction
    text: str | None
    scores: Mapping[str, float] | None
    context: tuple[Turn, ...]
    language: str | None
    action: Action
    rules: tuple[str, ...]
    output: str | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a case: passed without failures, or skipped because there was nothing to screen with.

    Attributes:
        case: The case.
        failures: What was not as expected, one line each.
        skipped: True if it could not run.
        fired: Ids of the rules that fired, shadow rules included.
    """

    case: Case
    failures: tuple[str, ...] = ()
    skipped: bool = False
    fired: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if the case ran and everything was as expected."""
        return not self.failures and not self.skipped


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a case file, in its order.

    Attributes:
        file: The case file's name.
        results: One a case.
        rules: Ids of the policy's rules, in the file's order.
    """

    file: str
    results: tuple[CaseResult, ...]
    rules: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(result.passed for result in self.results)

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return sum(bool(result.failures) for result in self.results)

    @property
    def skipped(self) -> int:
        """How many cases could not run for want of a classifier."""
        return sum(result.skipped for result in self.results)

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Rules that fired in no case that passed, in the file's order: nobody would notice if they were gone."""
        fired = {name for result in self.results if result.passed for name in result.fired}
        return tuple(rule for rule in self.rules if rule not in fired)

    @property
    def coverage(self) -> float:
        """Share of the rules that fired in a case that passed, 0..1; 1 without rules."""
        return 1 - len(self.uncovered) / len(self.rules) if self.rules else 1.0

    def lines(self) -> tuple[str, ...]:
        """The report for people: one line a case (more where it failed), then the counts."""
        out: list[str] = []
        for result in self.results:
            word = "skip" if result.skipped else "pass" if result.passed else "FAIL"
            out.append(f"{word}  {result.case.name}")
            out += [f"      {self.file}:{result.case.line}: {failure}" for failure in result.failures]
        skipped = f", {self.skipped} skipped (they need a model)" if self.skipped else ""
        return (*out, f"{self.passed} passed, {self.failed} failed{skipped}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a case was answered with, from either path."""

    action: Action
    rules: tuple[FiredRule, ...]
    output: str | None
    language: str | None
    scores: Mapping[str, float]


def cases_beside(policy_file: Path) -> Path:
    """Where the cases of a policy file stand: ``default.yaml`` -> ``default_test.yaml``."""
    return policy_file.with_name(f"{policy_file.stem}{TEST_ENDING}{policy_file.suffix}")


def policy_beside(file: Path) -> Path:
    """The policy that a case file tests (``default_test.yaml`` -> ``default.yaml``); a policy file is its own."""
    return file.with_name(file.stem.removesuffix(TEST_ENDING) + file.suffix)


def load_cases(path: Path, policy: Policy) -> tuple[Case, ...]:
    """Load and check a case file.

    Args:
        path: The file.
        policy: The policy that it tests; cases may name only rules that it has.

    Raises:
        PolicyError: There is no such file, it cannot be read, or it has mistakes: all of them, with line and column.
    """
    if not path.exists():
        cure = f"write {path.name}, see policies/README.md"
        raise PolicyError([Problem(str(path), 1, 1, "the policy has no cases beside it", cure)])
    document = read_document(read_bytes(path), str(path))
    known = [rule.id for rule in policy.rules]
    file = validate(document, CaseFile, lambda doc: [*_cross_check(doc), *_unknown_rules(doc, known)])
    return tuple(_case(entry, document.values[("cases", index)].line) for index, entry in enumerate(file.cases))


def run_cases(policy: Policy, cases: Sequence[Case], screen: Screen | None, file: str = "") -> Report:
    """Run cases.

    Args:
        policy: Decides the cases with scores alone.
        cases: The cases.
        screen: Decides the cases with a text, by the same policy; None skips them.
        file: Name of the case file for the report.
    """
    results = tuple(_run(policy, case, screen) for case in cases)
    return Report(file, results, tuple(rule.id for rule in policy.rules))


def _run(policy: Policy, case: Case, screen: Screen | None) -> CaseResult:
    if case.scores is not None:
        return _result(case, _decide(policy, case, case.scores))
    if screen is None:
        return CaseResult(case, skipped=True)
    try:
        decision = screen(
            Content(case.text or "", direction=case.direction, context=case.context, policy=policy.name, tags=case.tags)
        )
    except GuardError as error:
        return CaseResult(case, (f"not screened: {error}",))
    if decision.degraded:
        return CaseResult(case, ("not screened: the classifier failed, on_error decided",))
    seen = _Seen(decision.action, decision.rules, decision.output_text, decision.language, decision.scores)
    return _result(case, seen)


def _result(case: Case, seen: _Seen) -> CaseResult:
    return CaseResult(case, tuple(_failures(case, seen)), fired=tuple(rule.id for rule in seen.rules))


def _decide(policy: Policy, case: Case, scores: Mapping[str, float]) -> _Seen:
    language = case.language or "en"
    outcome = evaluate(policy, case.direction, scores, (), language=language, tags=case.tags)
    output = message_for(policy, outcome, language) if outcome.answers else None
    return _Seen(outcome.action, outcome.rules, output, language, scores)


def _failures(case: Case, seen: _Seen) -> Iterator[str]:
    if seen.action is not case.action:
        yield f"expected {case.action}, got {seen.action} ({_evidence(seen)})"
    fired = {rule.id for rule in seen.rules}
    for rule in case.rules:
        if rule not in fired:
            yield f"rule {rule} did not fire ({_evidence(seen)})"
    if case.language is not None and seen.language != case.language:
        yield f"expected language {case.language}, got {seen.language}"
    if case.output is not None and seen.output != case.output:
        got = "no text, which scores alone cannot give" if seen.output is None else repr(seen.output)
        yield f"expected output {case.output!r}, got {got}"


def _evidence(seen: _Seen) -> str:
    if seen.rules:
        return "fired: " + ", ".join(f"{r.id} {r.category} {r.score:.2f} >= {r.threshold:.2f}" for r in seen.rules)
    top = sorted(seen.scores.items(), key=lambda item: -item[1])[:3]
    return "nothing fired; highest: " + (", ".join(f"{c} {s:.2f}" for c, s in top) or "no score")


def _case(entry: CaseEntry, line: int) -> Case:
    return Case(
        name=entry.name,
        line=line,
        direction=Direction(entry.direction),
        text=entry.text,
        scores=entry.scores,
        context=tuple(Turn(Role(turn.role), turn.text) for turn in entry.context),
        language=entry.lang,
        action=Action(entry.expect.action),
        rules=tuple(entry.expect.rules),
        output=entry.expect.output,
        tags=entry.tags,
    )


def _entries(document: Document) -> Iterator[tuple[int, dict[str, object]]]:
    cases = document.value.get("cases") if isinstance(document.value, dict) else None
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        if isinstance(case, dict):
            yield index, case


def _cross_check(document: Document) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for index, case in _entries(document):
        loc = ("cases", index)
        if ("text" in case) == ("scores" in case):
            what = "a case with both text and scores" if "text" in case else "a case without text or scores"
            yield document.problem(loc, what, "write either text or scores")
        if "context" in case and "scores" in case:
            yield document.problem((*loc, "context"), "context is not read with scores", "remove it", at_key=True)
        name = case.get("name")
        if isinstance(name, str):
            if name in lines:
                what = f"a case of this name stands on line {lines[name]}"
                yield document.problem((*loc, "name"), what, "give each case a name of its own")
            lines.setdefault(name, document.values[(*loc, "name")].line)


def _unknown_rules(document: Document, known: Sequence[str]) -> Iterator[Problem]:
    for index, case in _entries(document):
        expect = case.get("expect")
        rules = expect.get("rules") if isinstance(expect, dict) else None
        for at, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, str) and rule not in known:
                cure = did_you_mean(rule, known) or "name a rule of the policy"
                loc = ("cases", index, "expect", "rules", at)
                yield document.problem(loc, f"the policy has no rule {rule}", cure)
