"""Short spellings of policies for the tests."""

from __future__ import annotations

from collections.abc import Sequence

from guard.policy.load import parse_policy
from guard.policy.policy import Policy

#: A policy's text up to its rules: four lines.
HEAD = "version: 1\nname: p\nmessage: {en: policy words, zh: 政策的话}\nrules:\n"


def policy_of(*rules: str, mode: str = "enforce") -> Policy:
    """A policy of rules in flow style, without their braces."""
    return parse_policy(text_of(rules) + f"mode: {mode}\n", "p.yaml")


def text_of(rules: Sequence[str]) -> str:
    """The text of a policy with these rules."""
    return HEAD + "".join(f"  - {{{rule}}}\n" for rule in rules)
