"""What the checks of a policy take and give: the policy with its places, and findings. Immutable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from guard.errors import Problem
from guard.policy.cases import Screen
from guard.policy.extend import Merged
from guard.policy.policy import Policy, Rule
from guard.policy.source import Loc


class Level(StrEnum):
    """How bad it is: an error cannot be loaded, a warning can."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend.

    Attributes:
        code: The check that found it.
        level: How bad it is.
        file: Where it stands: the policy, or a file that it names.
        line: From 1.
        column: From 1, in code points.
        what: What is wrong.
        cure: What to do about it.
    """

    code: str
    level: Level
    file: str
    line: int
    column: int
    what: str
    cure: str

    @classmethod
    def of(cls, problem: Problem, code: str, level: Level = Level.WARNING) -> Finding:
        """A problem as a finding."""
        return cls(code, level, problem.file, problem.line, problem.column, problem.what, problem.cure)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """As much of a model as a policy depends on.

    Attributes:
        identity: ``name@revision``.
        categories: What it scores.
        unsupported: Of these, what its training data could not carry.
    """

    identity: str
    categories: tuple[str, ...]
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linted:
    """A sound policy under lint.

    Attributes:
        policy: It.
        merged: The same as it was written, with places.
        model: The installed model; None if nothing is to depend on it.
        screen: The whole path with this policy; None if nothing is to be screened.
    """

    policy: Policy
    merged: Merged
    model: ModelFacts | None = None
    screen: Screen | None = None

    def rules(self) -> Iterator[tuple[Loc, Rule]]:
        """Every rule with its place."""
        for index, rule in enumerate(self.policy.rules):
            yield ("rules", index), rule

    def entries(self, key: str) -> list[dict[str, object]]:
        """The mappings of a list at the top, as they were written."""
        found = self.merged.value.get(key) if isinstance(self.merged.value, dict) else None
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    def finding(self, code: str, loc: Loc, what: str, cure: str, *, at_key: bool = False) -> Finding:
        """A finding at a value, or its key, in the file that it was written in."""
        return Finding.of(self.merged.problem(loc, what, cure, at_key=at_key), code)
