"""New thresholds in a policy file, and nothing else: comments, order and layout survive byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from guard.errors import PolicyError, Problem
from guard.policy.decimals import written
from guard.policy.load import parse_policy
from guard.policy.policy import Policy
from guard.policy.source import read_document

_BOM = "\ufeff"
_CURE = "write the threshold as a plain number of its own"


def set_thresholds(data: bytes, file: str, thresholds: Mapping[str, float]) -> bytes:
    """A policy file with other thresholds.

    Args:
        data: The file's bytes, a valid policy.
        file: Its name for problems.
        thresholds: Rule id -> threshold, 0..1; rules that are not named keep theirs, character by character.

    Returns:
        The file's bytes, of which only the characters of changed numbers are others.

    Raises:
        PolicyError: The file is no policy, has no such rule, or a threshold cannot be changed on its own because
            two rules share it by an alias.
    """
    text = data.decode()
    before = parse_policy(text, file)
    known = {rule.id: rule for rule in before.rules}
    missing = [name for name in thresholds if name not in known]
    if missing:
        what = f"no rule {missing[0]} in this file"
        raise PolicyError([Problem(file, 1, 1, what, "tune the file that has it")])
    wanted = {name: value for name, value in thresholds.items() if known[name].threshold != value}
    own = set(_own(data, file))
    if inherited := [name for name in wanted if name not in own]:
        what = f"the threshold of {inherited[0]} stands in {' or '.join(before.sources[1:])}"
        raise PolicyError([Problem(file, 1, 1, what, "tune that file, or give the rule a threshold here")])
    out = text
    for node in sorted(_nodes(text.removeprefix(_BOM), wanted, file), key=lambda found: -found.start):
        shift = len(text) - len(text.removeprefix(_BOM))
        out = out[: node.start + shift] + written(node.value) + out[node.end + shift :]
    if parse_policy(out, file).rules != _with(before, wanted):
        # A shared value, or a spelling of numbers that is not foreseen: better nothing than something else.
        raise PolicyError([Problem(file, 1, 1, "the thresholds cannot be changed one by one", _CURE)])
    return out.encode()


def _own(data: bytes, file: str) -> Iterator[str]:
    """The rules whose threshold stands in this file, and not in one that it extends."""
    top = read_document(data, file).value
    rules = top.get("rules") if isinstance(top, dict) else None
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict) and "threshold" in rule:
            yield str(rule.get("id"))


class _Place:
    """Where the characters of a number stand, and what is to be written there."""

    def __init__(self, start: int, end: int, value: float) -> None:
        self.start, self.end, self.value = start, end, value


def _nodes(text: str, wanted: Mapping[str, float], file: str) -> list[_Place]:
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    top = yaml.compose(text)
    rules = _value(top, "rules")
    places: dict[int, _Place] = {}
    for rule in rules.value if isinstance(rules, SequenceNode) else ():
        name, node = _value(rule, "id"), _value(rule, "threshold")
        if not isinstance(name, ScalarNode) or not isinstance(node, ScalarNode) or name.value not in wanted:
            continue
        end = node.end_mark.index
        # An anchor or a tag belongs to the node and stands before the number, which is its last word.
        start = end - len(node.value)
        value = wanted[name.value]
        if (
            node.style is not None
            or text[start:end] != node.value
            or places.get(start, _Place(0, 0, value)).value != value
        ):
            what = f"the threshold of {name.value} cannot be changed on its own"
            mark = node.start_mark
            raise PolicyError([Problem(file, mark.line + 1, mark.column + 1, what, _CURE)])
        places[start] = _Place(start, end, value)
    return list(places.values())


def _value(node: Node | None, key: str) -> Node | None:
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == key:
                found: Node = value_node
                return found
    return None


def _with(policy: Policy, wanted: Mapping[str, float]) -> tuple[object, ...]:
    return tuple(replace(rule, threshold=wanted.get(rule.id, rule.threshold)) for rule in policy.rules)
