"""One value of some rules in a policy file, and nothing else: comments, order and layout survive byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from guard.errors import PolicyError, Problem
from guard.policy.extend import read_chain
from guard.policy.load import SHIPPED_DIR, parse_policy
from guard.policy.policy import Rule
from guard.policy.suggest import did_you_mean

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be written.

    Attributes:
        key: A key of rules whose value is one word.
        values: Rule id -> the new value's characters; a rule that :attr:`change` leaves as it is keeps its own.
        change: A rule as it is to be read back.
        cure: What to do about a value that cannot be changed on its own.
        cure_inherited: What to do about one that stands in another file.
    """

    key: str
    values: Mapping[str, str]
    change: Callable[[Rule], Rule]
    cure: str
    cure_inherited: str


def edit_rules(data: bytes, file: str, edit: Edit) -> bytes:
    """A policy file with other values.

    Args:
        data: The file's bytes, a valid policy.
        file: Its name for problems; what it extends is looked for from there.
        edit: What to write.

    Returns:
        The file's bytes, of which only the characters of the named values are others.

    Raises:
        PolicyError: The file is no policy, has no such rule, the value stands in a file that it extends, or cannot be
            changed on its own because two rules share it by an alias.
    """
    text = data.decode()
    before = parse_policy(text, file)
    known = {rule.id: rule for rule in before.rules}
    if missing := [name for name in edit.values if name not in known]:
        cure = did_you_mean(missing[0], known) or "name the file that has it"
        raise PolicyError([Problem(file, 1, 1, f"no rule {missing[0]} in this file", cure)])
    wanted = {name: value for name, value in edit.values.items() if edit.change(known[name]) != known[name]}
    plain = text.removeprefix(_BOM)
    places = _places(plain, wanted, edit, file)
    if inherited := wanted.keys() - {place.rule for place in places}:
        _refuse(data, file, inherited, edit)
    out = plain
    for start, end, value in sorted({(place.start, place.end, place.value) for place in places}, reverse=True):
        out = out[:start] + value + out[end:]
    out = text[: len(text) - len(plain)] + out
    expected = tuple(edit.change(rule) if rule.id in wanted else rule for rule in before.rules)
    if parse_policy(out, file).rules != expected:
        # A shared value, or a spelling that is not foreseen: better nothing than something else.
        raise PolicyError([Problem(file, 1, 1, f"the {edit.key} values cannot be changed one by one", edit.cure)])
    return out.encode()


def _refuse(data: bytes, file: str, rules: Collection[str], edit: Edit) -> None:
    """Refuse values that stand in a file that this one extends."""
    merged = read_chain(data, file, SHIPPED_DIR)[-1]
    problems = []
    for name, loc in _written(merged.value):
        place = merged.place((*loc, edit.key))
        if name in rules and place.document.file != file:
            position = place.document.values.get(place.loc)
            where = f"{place.document.file}:{position.line}" if position else place.document.file
            what = f"the {edit.key} of {name} stands in {where}"
            problems.append(Problem(file, 1, 1, what, edit.cure_inherited))
    if problems:
        raise PolicyError(problems)


def _written(value: object) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Rules by id with their place."""
    rules = value.get("rules") if isinstance(value, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield str(rule.get("id")), ("rules", index)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the characters of a rule's value stand, and what is to be written there."""

    rule: str
    start: int
    end: int
    value: str


def _places(text: str, wanted: Mapping[str, str], edit: Edit, file: str) -> list[_Place]:
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    rules = _value(yaml.compose(text), "rules")
    places: list[_Place] = []
    for rule in rules.value if isinstance(rules, SequenceNode) else ():
        name, node = _value(rule, "id"), _value(rule, edit.key)
        if not isinstance(name, ScalarNode) or not isinstance(node, ScalarNode) or name.value not in wanted:
            continue
        end = node.end_mark.index
        # An anchor or a tag belongs to the node and stands before the value, which is its last word.
        place = _Place(name.value, end - len(node.value), end, wanted[name.value])
        shared = any(other.start == place.start and other.value != place.value for other in places)
        if node.style is not None or text[place.start : end] != node.value or shared:
            what = f"the {edit.key} of {name.value} cannot be changed on its own"
            mark = node.start_mark
            raise PolicyError([Problem(file, mark.line + 1, mark.column + 1, what, edit.cure)])
        places.append(place)
    return places


def _value(node: Node | None, key: str) -> Node | None:
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == key:
                found: Node = value_node
                return found
    return None
