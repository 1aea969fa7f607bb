"""From what a caller gives to a checked :class:`~guard.types.Content`, with every mistake named at once.

The SDK and the command line build content here and so fail before a call is made; the engine checks again
with the same function, because a server's content comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from typing import TypeVar

from guard.errors import InvalidInput, Violation
from guard.normalize import normalize
from guard.types import DIRECTION_ALIASES, Content, Direction, Origin, Role, Turn

#: Code points of a whole context. The model reads the newest few turns; the bound is against abuse.
MAX_CONTEXT_CHARACTERS = 1024 * 1024

#: Turns of a context. Every one takes a token of the model's at least, so it reads fewer.
MAX_CONTEXT_TURNS = 1024

#: Tags of one content.
MAX_TAGS = 64

# Enough to find one visible character in any honest text without normalising all of it.
_HEAD = 64

# A turn says its text under one of these names; the second is that of chat APIs.
_TEXT_KEYS = ("text", "content")
_TURN = "{role, text}"

# What others call a direction or a role, for the cure.
_MEANT: Mapping[type[StrEnum], Mapping[str, str]] = {
    Direction: {"input": Direction.PROMPT, "request": Direction.PROMPT},
    Role: {
        "developer": Role.SYSTEM,
        "function": Role.TOOL,
        "human": Role.USER,
        "ai": Role.ASSISTANT,
        "bot": Role.ASSISTANT,
        "model": Role.ASSISTANT,
    },
}

_Member = TypeVar("_Member", bound=StrEnum)


def make_content(
    text: str,
    direction: str = Direction.PROMPT,
    context: str | Sequence[Turn | Mapping[str, object]] | None = None,
    policy: str | None = None,
    tags: Mapping[str, str] | None = None,
    origin: str = Origin.USER,
    request_id: str = "",
) -> Content:
    """Build content from plain values.

    Args:
        text: What to screen.
        direction: ``prompt`` or ``output``; ``response`` is another word for the second, ``content`` for the first.
        context: What came before: one user turn as a string, or turns, oldest first, each a
            :class:`~guard.types.Turn` or a mapping with ``role`` and ``text`` (or ``content``). Blank turns are left
            out.
        policy: Name of a policy; empty or None for the default.
        tags: Free labels, strings to strings.
        origin: ``user``, ``tool`` or ``document``.
        request_id: Returned unchanged.

    Raises:
        InvalidInput: Every broken field is named (``direction``, ``context[2].role`` ...). The token limit
            and the policy's name are checked where the text is screened.
    """
    found: list[Violation] = []
    content = Content(
        text=_string(found, "text", text),
        direction=_direction(found, "direction", direction),
        context=_turns(found, context),
        origin=_member(found, "origin", origin, Origin),
        policy=_string(found, "policy", "" if policy is None else policy),
        request_id=_string(found, "request_id", request_id),
        tags=_tags(found, tags),
    )
    named = {violation.field for violation in found}
    found.extend(violation for violation in violations(content) if violation.field not in named)
    if found:
        raise InvalidInput(found)
    # Only now, so that the indices in the messages are the caller's.
    return replace(content, context=tuple(turn for turn in content.context if turn.text.strip()))


def read_direction(word: str, field: str = "direction") -> Direction:
    """The direction that a word names.

    Raises:
        InvalidInput: None.
    """
    found: list[Violation] = []
    direction = _direction(found, field, word)
    if found:
        raise InvalidInput(found)
    return direction


def violations(content: Content) -> list[Violation]:
    """Everything that is wrong with content by itself, in the order of its fields; empty if it is sound.

    Text length in tokens and the policy's existence are known only where a model and policies are loaded.
    """
    found: list[Violation] = []
    if _well_formed(found, "text", content.text) and is_blank(content.text):
        found.append(Violation("text", "blank, nothing visible to screen", "send at least one visible character"))
    _check_member(found, "direction", content.direction, Direction)
    found += too_many(len(content.context), len(content.tags))
    total = 0
    for index, turn in enumerate(content.context if len(content.context) <= MAX_CONTEXT_TURNS else ()):
        field = f"context[{index}]"
        _check_member(found, f"{field}.role", turn.role, Role)
        _well_formed(found, f"{field}.text", turn.text)
        if total <= MAX_CONTEXT_CHARACTERS < total + len(turn.text):
            limit = f"the context has over {MAX_CONTEXT_CHARACTERS} characters up to here"
            found.append(Violation(f"{field}.text", limit, "send the newest turns only"))
        total += len(turn.text)
    _check_member(found, "origin", content.origin, Origin)
    _well_formed(found, "policy", content.policy)
    _well_formed(found, "request_id", content.request_id)
    for key, value in content.tags.items() if len(content.tags) <= MAX_TAGS else ():
        if _well_formed(found, "tags", key):
            _well_formed(found, f"tags.{key}", value)
    return found


def too_many(turns: int, tags: int, *, or_more: bool = False) -> list[Violation]:
    """What is wrong with how many turns and tags there are; looked at before anything is done for each of them.

    Args:
        turns: How many.
        tags: How many.
        or_more: Whether they were not counted to the end.
    """
    more = " or more" if or_more else ""
    found: list[Violation] = []
    if turns > MAX_CONTEXT_TURNS:
        reason = f"{turns} turns{more}, the limit is {MAX_CONTEXT_TURNS}"
        found.append(Violation("context", reason, "send the newest turns only"))
    if tags > MAX_TAGS:
        found.append(Violation("tags", f"{tags} tags{more}, the limit is {MAX_TAGS}", "send those that are asked for"))
    return found


def is_blank(text: str) -> bool:
    """True if nothing in a well-formed text is visible: whitespace and invisible characters only."""
    return not normalize(text[:_HEAD]).text.strip() and not normalize(text).text.strip()


def _well_formed(found: list[Violation], field: str, text: object) -> bool:
    """Note what is no string, and a lone surrogate, which no UTF-8 can carry; False if it was noted."""
    if not isinstance(text, str):
        found.append(Violation(field, "not a string", "send a string"))
        return False
    try:
        text.encode()
    except UnicodeEncodeError as error:
        reason = f"invalid UTF-8: a lone surrogate at character {error.start}"
        found.append(Violation(field, reason, "send well-formed Unicode text"))
        return False
    return True


def _string(found: list[Violation], field: str, value: object) -> str:
    if isinstance(value, str):
        return value
    found.append(Violation(field, "not a string", "send a string"))
    return ""


def _member(found: list[Violation], field: str, value: object, kind: type[_Member]) -> _Member:
    """A member by its value; where it is broken, noted, and the first member stands for it."""
    if isinstance(value, str) and value in set(kind):
        return kind(value)
    reason = "unknown value" if isinstance(value, str) else "missing" if value is None else "not a string"
    meant = _MEANT.get(kind, {}).get(value.lower()) if isinstance(value, str) else None
    found.append(Violation(field, reason, f"write {meant}" if meant else f"one of {', '.join(kind)}"))
    return next(iter(kind))


def _direction(found: list[Violation], field: str, value: object) -> Direction:
    return _member(found, field, DIRECTION_ALIASES.get(value, value) if isinstance(value, str) else value, Direction)


def _check_member(found: list[Violation], field: str, value: object, kind: type[StrEnum]) -> None:
    """Content carries members and not their values: the code behind compares by identity."""
    if not isinstance(value, kind):
        found.append(Violation(field, "unknown value", f"one of {', '.join(kind)}"))


def _turns(found: list[Violation], context: object) -> tuple[Turn, ...]:
    """Turns of a context in any accepted form; broken ones are noted and stay in as harmless values."""
    if context is None:
        return ()
    if isinstance(context, str):
        return (Turn(Role.USER, context),)
    if not isinstance(context, Iterable) or isinstance(context, Mapping | bytes):
        found.append(Violation("context", "neither a string nor a list of turns", f"a list of {_TURN}"))
        return ()
    turns = list(islice(context, MAX_CONTEXT_TURNS + 1))
    if len(turns) > MAX_CONTEXT_TURNS:
        found += too_many(len(context), 0) if isinstance(context, Sized) else too_many(len(turns), 0, or_more=True)
        return ()
    return tuple(_turn(found, f"context[{index}]", turn) for index, turn in enumerate(turns))


def _turn(found: list[Violation], field: str, turn: object) -> Turn:
    if isinstance(turn, Turn):
        turn = {"role": turn.role, "text": turn.text}
    if not isinstance(turn, Mapping):
        found.append(Violation(field, "not a turn", f"send {_TURN}"))
        return Turn(Role.USER, "")
    # A misspelt key must not drop what the decision depends on. Chat APIs give null where there is nothing.
    turn = {name: value for name, value in turn.items() if value is not None}
    unknown = [str(name)[:60] for name in turn if name not in {"role", *_TEXT_KEYS}]
    found += [Violation(f"{field}.{name}", "unknown field", f"a turn is {_TURN}; leave it out") for name in unknown]
    role = _member(found, f"{field}.role", turn.get("role"), Role)
    given = [name for name in _TEXT_KEYS if name in turn]
    if not given:
        found.append(Violation(f"{field}.text", "missing", f"a turn is {_TURN}; leave out one that says nothing"))
        return Turn(role, "")
    if len(given) > 1:
        found.append(Violation(f"{field}.content", "given beside text", "leave out one of them"))
        return Turn(role, "")
    text = turn[given[0]]
    if not isinstance(text, str):
        cure = "send a string; join the parts of a turn that has several"
        found.append(Violation(f"{field}.{given[0]}", "not a string", cure))
    return Turn(role, text if isinstance(text, str) else "")


def _tags(found: list[Violation], tags: object) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        found.append(Violation("tags", "not a mapping", "send strings by name"))
        return {}
    if len(tags) > MAX_TAGS:
        found += too_many(0, len(tags))
        return {}
    out: dict[str, str] = {}
    for key, value in tags.items():
        if not isinstance(key, str):
            found.append(Violation("tags", "a name that is not a string", "send strings by name"))
        else:
            out[key] = _string(found, f"tags.{key}", value)
    return out
