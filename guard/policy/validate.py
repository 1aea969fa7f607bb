"""From a document to a checked model: every mistake becomes a problem with its place and its cure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from guard.errors import PolicyError, Problem
from guard.policy.schema import MISTAKE, Entry, Mistake, entry_at
from guard.policy.source import Loc
from guard.policy.suggest import did_you_mean
from guard.types import DIRECTION_ALIASES, Operator


class Source(Protocol):
    """What was written, and where: a document, or several in one."""

    @property
    def file(self) -> str:
        """The name of the file, or of the first one."""
        ...

    @property
    def value(self) -> object:
        """Plain values; None if nothing could be read."""
        ...

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is already known to be wrong."""
        ...

    @property
    def incomplete(self) -> bool:
        """True if there is more that could not be had, so that what is missing here says nothing."""
        ...

    def is_reported(self, loc: Loc) -> bool:
        """True if the value at a place already has a problem."""
        ...

    def problem(self, loc: Loc, what: str, cure: str, *, at_key: bool = False) -> Problem:
        """A problem at a value, or its key."""
        ...


M = TypeVar("M", bound=Entry)
S = TypeVar("S", bound=Source)

_WRONG_TYPE = {
    "string_type": ("must be text", "put it in quotes"),
    "bool_type": ("must be true or false", "write true or false, without quotes"),
    "list_type": ("must be a list", "write - before each entry, or [ ]"),
    "dict_type": ("must be a mapping", "write key: value pairs"),
    "model_type": ("must be a mapping", "write key: value pairs"),
    "model_attributes_type": ("must be a mapping", "write key: value pairs"),
}
# What people write for an action or a direction, and what it is here; of the same keys in policies and in cases.
_MEANT = {
    "action": {
        **dict.fromkeys(("deny", "forbid", "refuse", "reject", "stop"), "block"),
        **dict.fromkeys(("accept", "pass", "permit"), "allow"),
        "redact": "rewrite",
    },
    "direction": {
        **dict.fromkeys(("input", "request"), "prompt"),
        **{word: meant.value for word, meant in DIRECTION_ALIASES.items()},
    },
}
_OUT_OF_RANGE = {"greater_than_equal", "less_than_equal", "finite_number"}


def validate(document: S, model: type[M], cross_check: Callable[[S], Iterable[Problem]]) -> M:
    """The document as a model.

    Args:
        document: What was written.
        model: What it should be.
        cross_check: Looks for what no single value shows (duplicate ids ...); must bear any document, sound or not.

    Raises:
        PolicyError: With all mistakes, by line: YAML, single values, and the cross-check's.
    """
    problems = list(document.problems)
    result: M | list[Mistake] = []
    if document.value is not None:
        result = model.read(document.value)
        if isinstance(result, list):
            told = (m for m in result if m.kind != "missing" or not document.incomplete)
            problems += [_problem(document, model, m) for m in told if not document.is_reported(m.loc)]
        problems += cross_check(document)
    if problems or isinstance(result, list):
        raise PolicyError(in_order(document.file, problems))
    return result


def in_order(file: str, problems: Iterable[Problem]) -> list[Problem]:
    """Problems, each once: those of a file before those of the files that it names, and by line."""
    return sorted(set(problems), key=lambda p: (p.file != file, p.file, p.line, p.column, p.what))


def _problem(document: Source, model: type[Entry], mistake: Mistake) -> Problem:
    if mistake.kind == "extra_forbidden":
        return _unknown_key(document, model, mistake)
    if mistake.kind == "missing":
        cure = f"add {mistake.loc[-1]}: ..."
        return document.problem(mistake.loc[:-1], f"{_parent(mistake)} has no {mistake.loc[-1]}", cure)
    what, cure = _what_and_cure(mistake)
    at_key = mistake.loc[-1:] == ("[key]",)
    return document.problem(mistake.loc[:-1] if at_key else mistake.loc, what, cure, at_key=at_key)


def _what_and_cure(mistake: Mistake) -> tuple[str, str]:
    name, context = _name(mistake), mistake.context
    if mistake.kind == MISTAKE:
        return str(context["what"]), str(context["cure"])
    if mistake.kind in _WRONG_TYPE:
        what, cure = _WRONG_TYPE[mistake.kind]
        return f"{name} {what}", cure
    if mistake.kind in _OUT_OF_RANGE:
        return f"{name} is out of range", "a number from 0 to 1"
    if mistake.kind == "float_type":
        return f"{name} must be a number", "a number from 0 to 1, without quotes"
    if mistake.kind == "literal_error":
        legal = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"{name} is not one of {', '.join(legal)}", _meant(mistake, legal) or "write one of them"
    if mistake.kind == "string_pattern_mismatch":
        return f"{name} is not a legal name", "1 to 64 letters, digits, dots, hyphens or underscores of ASCII"
    if mistake.kind == "too_short":
        return f"{name} is empty", "write at least one entry"
    # pydantic may grow kinds that these models cannot raise today.
    return f"{name} is not legal ({mistake.kind})", "see policies/README.md"


def _meant(mistake: Mistake, legal: Sequence[str]) -> str:
    """What to write for a word that is none of the legal ones; empty if nobody knows."""
    given, key = mistake.given, mistake.loc[-1]
    if not isinstance(given, str):
        return ""
    if key == "action" and given in set(Operator):
        return f"write action: rewrite, rewrite: {given}" if mistake.loc[0] == "rules" else "write rewrite"
    meant = _MEANT.get(str(key), {}).get(given.lower())
    return f"write {meant}" if meant else did_you_mean(given, legal)


def _unknown_key(document: Source, model: type[Entry], mistake: Mistake) -> Problem:
    key = str(mistake.loc[-1])
    entry = entry_at(model, mistake.loc[:-1])
    if key in entry.elsewhere:
        what, cure = f"{key} does not stand here", entry.elsewhere[key]
    else:
        legal = list(entry.model_fields)
        what = f"unknown key {key}"
        cure = did_you_mean(key, legal) or f"known here: {', '.join(legal)}"
    return document.problem(mistake.loc, what, cure, at_key=True)


def _name(mistake: Mistake) -> str:
    keys = [part for part in mistake.loc if isinstance(part, str)]
    if not keys:
        return "the file"
    return keys[-1] if isinstance(mistake.loc[-1], str) else f"an entry of {keys[-1]}"


def _parent(mistake: Mistake) -> str:
    keys = [part for part in mistake.loc[:-1] if isinstance(part, str)]
    if not keys:
        return "the file"
    return keys[-1] if isinstance(mistake.loc[-2], str) else f"an entry of {keys[-1]}"
