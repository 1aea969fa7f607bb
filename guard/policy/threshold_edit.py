"""New thresholds in a policy file, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from guard.policy.decimals import written
from guard.policy.policy import Rule
from guard.policy.rule_edit import Edit, edit_rules

_CURE = "write the threshold as a plain number of its own"
_CURE_INHERITED = "tune that file, or give the rule a threshold here"


def set_thresholds(data: bytes, file: str, thresholds: Mapping[str, float]) -> bytes:
    """A policy file with other thresholds.

    Args:
        data: The file's bytes, a valid policy.
        file: Its name for problems.
        thresholds: Rule id -> threshold, 0..1; rules that are not named keep theirs, character by character.

    Returns:
        The file's bytes, of which only the characters of changed numbers are others.

    Raises:
        PolicyError: As :func:`guard.policy.rule_edit.edit_rules`.
    """

    def change(rule: Rule) -> Rule:
        return replace(rule, threshold=thresholds[rule.id])

    values = {name: written(value) for name, value in thresholds.items()}
    return edit_rules(data, file, Edit("threshold", values, change, _CURE, _CURE_INHERITED))
