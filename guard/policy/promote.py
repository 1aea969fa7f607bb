"""Shadow rules that act from now on: ``shadow: true`` becomes ``shadow: false`` in the file, and nothing else does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from guard.policy.policy import Rule
from guard.policy.rule_edit import Edit, edit_rules

_CURE = "write shadow: true or false in the rule itself"
_CURE_INHERITED = "promote it there, or write `- {id: ..., shadow: false}` under rules here"


def promote(data: bytes, file: str, rules: Collection[str]) -> bytes:
    """A policy file in which rules are no longer in shadow.

    Args:
        data: The file's bytes, a valid policy.
        file: Its name for problems.
        rules: Ids of rules that are in shadow.

    Returns:
        The file's bytes, of which only the characters of these values are others.

    Raises:
        PolicyError: As :func:`guard.policy.rule_edit.edit_rules`.
    """

    def change(rule: Rule) -> Rule:
        return replace(rule, shadow=False)

    return edit_rules(data, file, Edit("shadow", dict.fromkeys(rules, "false"), change, _CURE, _CURE_INHERITED))
