"""What is wrong with a policy: its mistakes, all at once, and what is legal but cannot be meant.

A check is a function of a loaded policy and what stands beside it (the installed model, a way to screen a text); every
one stands in :data:`CHECKS` by the code that its findings carry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from guard.errors import PolicyError
from guard.policy.cases import Screen
from guard.policy.extend import read_chain
from guard.policy.lint_model import other_models, own_messages, unsupported_categories
from guard.policy.lint_rules import always_firing, never_deciding, never_firing, threshold_order, unwatched_directions
from guard.policy.lint_terms import common_terms
from guard.policy.linted import Finding, Level, Linted, ModelFacts
from guard.policy.load import SHIPPED_DIR, load_policy
from guard.policy.source import read_bytes

#: The code of what the loader refuses.
MISTAKE = "mistake"

#: Every check by the code of its findings.
CHECKS: Mapping[str, Callable[[Linted], Iterator[Finding]]] = {
    "never-fires": never_firing,
    "always-fires": always_firing,
    "never-decides": never_deciding,
    "threshold-order": threshold_order,
    "no-rules": unwatched_directions,
    "common-term": common_terms,
    "unsupported-category": unsupported_categories,
    "other-model": other_models,
    "own-message": own_messages,
}


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found.

    Attributes:
        policies: Files that were looked at.
        found: By file, then by line.
    """

    policies: int
    found: tuple[Finding, ...]

    @property
    def mistakes(self) -> int:
        """Findings for which a policy cannot be loaded."""
        return sum(finding.level is Level.ERROR for finding in self.found)

    @property
    def findings(self) -> int:
        """All others."""
        return len(self.found) - self.mistakes


def lint(
    path: Path, model: ModelFacts | None = None, screen: Screen | None = None, ignore: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Look at one policy file.

    Args:
        path: The file.
        model: The installed model; None leaves out what depends on it.
        screen: The whole path with this policy; None leaves out what needs it.
        ignore: Codes of checks that are left out.

    Returns:
        Its mistakes, all of them; if it has none, what is legal but wrong. The file's own before those of files
        that it names, and by line.
    """
    try:
        policy = load_policy(path)
    except PolicyError as error:
        return tuple(Finding.of(problem, MISTAKE, Level.ERROR) for problem in error.problems)
    merged = read_chain(read_bytes(path), str(path), SHIPPED_DIR)[-1]
    subject = Linted(policy, merged, model, screen)
    found = [finding for code, check in CHECKS.items() if code not in ignore for finding in check(subject)]
    order = sorted(set(found), key=lambda f: (f.file != str(path), f.file, f.line, f.column, f.code, f.what))
    return tuple(order)
