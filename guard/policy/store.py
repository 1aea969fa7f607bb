"""The policies that a guard decides with, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guard.errors import InvalidInput, PolicyError, Problem
from guard.policy.load import SHIPPED_DIR, load_policy, policy_files
from guard.policy.policy import Policy
from guard.policy.source import read_bytes, read_document
from guard.policy.suggest import did_you_mean
from guard.types import DEFAULT_POLICY, PolicyInfo


class PolicyStore:
    """Loaded policies and which of them is the default. Immutable, thread-safe."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        """Hold policies.

        Args:
            policies: At least one, names unique. The default is the one named ``default``, else the first
                by name.
        """
        if not policies:
            raise ValueError("a policy store needs at least one policy")
        self._policies = {policy.name: policy for policy in sorted(policies, key=lambda policy: policy.name)}
        if len(self._policies) != len(policies):
            raise ValueError("policy names must be unique")
        self._default = self._policies.get(DEFAULT_POLICY) or next(iter(self._policies.values()))

    @classmethod
    def load(cls, path: Path | None = None) -> PolicyStore:
        """Load one file, or every policy of a directory.

        Args:
            path: A policy file; a directory of ``*.yaml`` (``*_test.yaml`` are tests and left out); None for
                the default policy that ships.

        Raises:
            PolicyError: A file cannot be read or has mistakes, a directory has no policy, or two files use
                one name; all problems of all files.
        """
        if path is None:
            path = SHIPPED_DIR / f"{DEFAULT_POLICY}.yaml"
        if not path.is_dir():
            return cls([load_policy(path)])
        policies: list[Policy] = []
        problems: list[Problem] = []
        for file in _files(path):
            try:
                policies.append(load_policy(file))
            except PolicyError as error:
                problems += error.problems
        problems += _shared_names(policies)
        if problems:
            # A file that several extend is told of once.
            raise PolicyError(dict.fromkeys(problems))
        return cls(policies)

    @property
    def default(self) -> Policy:
        """The policy that decides where none is asked for."""
        return self._default

    def get(self, name: str) -> Policy:
        """The policy of a name; the default for an empty one.

        Raises:
            InvalidInput: There is no such policy; the field is ``policy``, the cure names those that are.
        """
        if not name:
            return self._default
        if name not in self._policies:
            cure = did_you_mean(name, self._policies) or "leave it empty for the default"
            reason = f"no policy named {name[:60]!r}; loaded: {', '.join(self._policies)}"
            raise InvalidInput.of("policy", reason, cure)
        return self._policies[name]

    def infos(self) -> tuple[PolicyInfo, ...]:
        """All policies by name, as ``info`` reports them."""
        return tuple(policy.info(default=policy is self._default) for policy in self._policies.values())

    def mismatches(self, model: str) -> tuple[str, ...]:
        """A line for each policy, by name, whose thresholds were set on another model than this one."""
        found = (policy.mismatch(model) for policy in self._policies.values())
        return tuple(line for line in found if line is not None)


def _files(directory: Path) -> list[Path]:
    try:
        files = policy_files(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PolicyError([Problem(str(directory), 1, 1, f"cannot be read: {reason}", "check permissions")]) from None
    if not files:
        raise PolicyError([Problem(str(directory), 1, 1, "no policy in it", "put a *.yaml file there")])
    return files


def _shared_names(policies: Sequence[Policy]) -> list[Problem]:
    first: dict[str, str] = {}
    problems = []
    for policy in policies:
        if policy.name in first:
            document = read_document(read_bytes(Path(policy.path)), policy.path)
            what = f"the name {policy.name} is taken by {first[policy.name]}"
            problems.append(document.problem(("name",), what, "give each policy a name of its own"))
        first.setdefault(policy.name, policy.path)
    return problems
