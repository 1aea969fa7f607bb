"""A YAML file as plain values that remember where they stood.

Mistakes are collected, not raised one by one, so that whoever wrote the file sees all of them at once.
What a hostile file could cost is bounded: its size, its depth, and what its aliases grow to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from guard.errors import PolicyError, Problem

#: Where a value stands in a document: keys and list indexes from the top.
Loc = tuple[str | int, ...]

_MAX_BYTES = 1024 * 1024
_MAX_NODES = 50_000
_MAX_SHOWN = 160
_TAG = "tag:yaml.org,2002:"
# YAML's \ud83d escape makes one; no answer could carry it, because it has no UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")
_CURE_SYNTAX = "check indentation, quotes and brackets just before this place"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; lines and columns count from 1, columns in code points."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A read file.

    Attributes:
        file: Its name, as problems show it.
        value: Mappings, lists, str, int, float and bool; None if nothing could be read.
        values: Where each value starts.
        keys: Where each mapping key starts.
        problems: What is wrong with the file as YAML.
        reported: Places that already have a problem, so that nobody reports them again.
        digest: SHA-256 of the file's bytes in hex.
    """

    file: str
    value: object
    values: Mapping[Loc, Position] = field(default_factory=dict)
    keys: Mapping[Loc, Position] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    reported: frozenset[Loc] = frozenset()
    digest: str = ""

    @property
    def incomplete(self) -> bool:
        """False: whatever is missing here is missing."""
        return False

    def is_reported(self, loc: Loc) -> bool:
        """True if the value at a place already has a problem."""
        return loc in self.reported

    def problem(self, loc: Loc, what: str, cure: str, *, at_key: bool = False) -> Problem:
        """A problem at a value (or its key), or at the nearest thing around it that the file has."""
        where = self.keys if at_key else self.values
        while loc and loc not in where:
            loc, where = loc[:-1], self.values
        position = where.get(loc, Position(1, 1))
        return problem_at(self.file, position, what, cure)


def read_bytes(path: Path) -> bytes:
    """The bytes of a policy or case file.

    Raises:
        PolicyError: It cannot be read, or is larger than 1 MiB; the message names it.
    """
    try:
        with path.open("rb") as handle:
            data = handle.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PolicyError(
            [Problem(str(path), 1, 1, f"cannot be read: {reason}", "check the path and its permissions")]
        ) from None
    if len(data) > _MAX_BYTES:
        raise PolicyError([Problem(str(path), 1, 1, "larger than 1 MiB", "split it into several files")])
    return data


def read_document(data: bytes, file: str) -> Document:
    """Parse YAML 1.2 (one document, no tags of its own, no merge keys).

    Args:
        data: The file's bytes: UTF-8, with or without a byte order mark.
        file: Its name for problems.

    Returns:
        The document; with ``value`` None if it is not YAML at all.
    """
    return replace(_read(data, file), digest=hashlib.sha256(data).hexdigest())


def _read(data: bytes, file: str) -> Document:
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return _unreadable(file, data[: error.start].decode("utf-8"), "not valid UTF-8", "save the file as UTF-8")
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.composer.warn_double_anchors = False  # YAML allows them: the latest counts
        node = yaml.compose(text)
        if node is None:
            return _unreadable(file, "", "the file is empty", "see policies/README.md for what to write")
        builder = _Builder(file)
        value = builder.build(node, (), ())
    except RecursionError:
        return _unreadable(file, "", "nested too deeply", "no key needs more than six levels")
    except ReaderError as error:
        return _unreadable(file, text[: error.position], "a control character", "remove it")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = f"not valid YAML: {', '.join(part for part in (error.context, error.problem) if part)}"
        return Document(file, None, problems=(problem_at(file, Position(line, column), what, _CURE_SYNTAX),))
    except (YAMLError, ValueError) as error:
        return _unreadable(file, "", f"not valid YAML: {str(error).splitlines()[0]}", _CURE_SYNTAX)
    return Document(file, value, builder.values, builder.keys, tuple(builder.problems), frozenset(builder.reported))


def _unreadable(file: str, before: str, what: str, cure: str) -> Document:
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Document(file, None, problems=(problem_at(file, Position(line, column), what, cure),))


def problem_at(file: str, position: Position, what: str, cure: str) -> Problem:
    """A problem on one line: what it quotes from the file may hold line ends, or be long."""
    shown = what if len(what) <= _MAX_SHOWN else what[:_MAX_SHOWN] + "..."
    printable = "".join(char if char.isprintable() else "?" for char in shown)
    return Problem(file, position.line, position.column, printable, cure)


class _Builder:
    """Turns the node graph into values, expanding aliases up to the limit. Used once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[Loc, Position] = {}
        self.keys: dict[Loc, Position] = {}
        self.problems: list[Problem] = []
        self.reported: set[Loc] = set()
        self._nodes = 0

    def build(self, node: Node, loc: Loc, above: tuple[int, ...]) -> object:
        """The node's value; ``above`` holds the nodes that contain it."""
        self.values[loc] = _position(node)
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            if self._nodes == _MAX_NODES + 1:
                self._report(loc, _position(node), "too many values", "use fewer aliases, or split the file")
            return None
        if id(node) in above:
            self._report(loc, _position(node), "an alias inside of what it names", "write the value out")
            return None
        above = (*above, id(node))
        if isinstance(node, MappingNode | SequenceNode) and node.tag not in {_TAG + "map", _TAG + "seq"}:
            self._report(loc, _position(node), f"the tag {node.tag} is not supported", "remove it")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, loc, above)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*loc, i), above) for i, item in enumerate(node.value)]
        return self._scalar(node, loc)

    def _mapping(self, node: MappingNode, loc: Loc, above: tuple[int, ...]) -> dict[str, object]:
        out: dict[str, object] = {}
        for key_node, value_node in node.value:
            position = _position(key_node)
            if key_node.tag == _TAG + "merge":
                self._report(loc, position, "merge keys (<<) are not supported", "write the keys out")
                continue
            if not isinstance(key_node, ScalarNode) or key_node.tag != _TAG + "str":
                self._report(loc, position, "a key must be text", "put it in quotes")
                continue
            key = str(key_node.value)
            if key in out:
                first = self.keys[(*loc, key)].line
                self._report(loc, position, f"duplicate key {key} (first on line {first})", "keep one of them")
                continue
            self.keys[(*loc, key)] = position
            out[key] = self.build(value_node, (*loc, key), above)
        return out

    def _scalar(self, node: Node, loc: Loc) -> object:
        kind, text = str(node.tag).removeprefix(_TAG), str(node.value)
        if kind in {"str", "timestamp"}:
            if _SURROGATE.search(text):
                self._report(loc, _position(node), "half of a character (a surrogate)", "write the character itself")
                return None
            return text
        if kind == "bool":
            return text.lower() == "true"
        try:
            if kind == "int":
                return int(text, 0) if text.lstrip("+-")[:2] in {"0x", "0o", "0b"} else int(text)
            if kind == "float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self._report(loc, _position(node), "not a number", "write it in decimal digits")
            return None
        if kind == "null":
            name = f"{loc[-1]} has" if loc and isinstance(loc[-1], str) else "there is"
            self._report(loc, self.keys.get(loc, _position(node)), f"{name} no value", "give one, or remove it")
        else:
            self._report(loc, _position(node), f"the tag {node.tag} is not supported", "remove it")
        return None

    def _report(self, loc: Loc, position: Position, what: str, cure: str) -> None:
        self.reported.add(loc)
        self.problems.append(problem_at(self.file, position, what, cure))


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
