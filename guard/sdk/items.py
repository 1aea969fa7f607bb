"""Items of a batch: texts, contents or mappings in; checked contents out, a broken one in its place as its error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from itertools import islice
from typing import Any, TypeAlias

from guard.content import make_content
from guard.errors import GuardError, InternalError, InvalidInput, Violation
from guard.types import MAX_BATCH_ITEMS, Content, Decision, Turn

#: What came before a text: one user turn, or turns, oldest first.
Context: TypeAlias = str | Sequence[Turn | Mapping[str, object]]

#: One item: a text, a ready content, or a mapping with ``text`` and any other argument of ``screen``.
Item: TypeAlias = str | Content | Mapping[str, object]

#: What became of one item.
Result: TypeAlias = Decision | GuardError

_FIELDS = ("text", "direction", "context", "policy", "tags", "origin", "request_id")


def read_items(items: Iterable[Item], **defaults: object) -> list[Content | InvalidInput]:
    """Every item as checked content, or as what is wrong with it.

    Args:
        items: At most 256.
        defaults: Arguments of ``screen`` for the items that do not bring their own.

    Raises:
        InvalidInput: More than 256 items, or one text instead of a list; the field is ``contents``.
    """
    if isinstance(items, str | bytes | Mapping):
        raise InvalidInput.of("contents", "one item instead of a list of them", "send a list")
    # Counted before one is read: reading is work.
    taken = list(islice(items, MAX_BATCH_ITEMS + 1))
    if len(taken) > MAX_BATCH_ITEMS:
        count = str(len(items)) if isinstance(items, Sized) else f"{len(taken)} or more"
        raise InvalidInput.of("contents", f"{count} items, the limit is {MAX_BATCH_ITEMS}", "send smaller batches")
    return [_read_item(index, item, defaults) for index, item in enumerate(taken)]


def sound_items(items: Iterable[Content | InvalidInput]) -> list[Content]:
    """The contents among the items, in order."""
    return [item for item in items if isinstance(item, Content)]


def merge_results(items: Sequence[Content | InvalidInput], results: Sequence[Result]) -> list[Result]:
    """One result per item: of the sound ones in order, and the error of each broken one in its place.

    Raises:
        InternalError: There are not as many results as sound items, so none can be told whose it is.
    """
    asked = len(sound_items(items))
    if len(results) != asked:
        cure = "the texts count as unscreened; compare `guard --version` on both sides"
        raise InternalError(f"{len(results)} results for {asked} texts ({cure})")
    screened = iter(results)
    return [item if isinstance(item, InvalidInput) else next(screened) for item in items]


def _read_item(index: int, item: object, defaults: Mapping[str, object]) -> Content | InvalidInput:
    try:
        if isinstance(item, Content):
            # Checked like all that callers give: whoever does not check types may have put anything into it.
            return _content({name: getattr(item, name) for name in _FIELDS})
        if isinstance(item, str):
            return _content({**defaults, "text": item})
        if isinstance(item, Mapping):
            return _content({**defaults, **item})
    except InvalidInput as error:
        return error
    return InvalidInput.of(f"contents[{index}]", "neither a string, a Content nor a mapping", "send one of them")


def _content(fields: Mapping[str, Any]) -> Content:
    # A misspelt key must not drop what the decision depends on.
    unknown = [str(name)[:60] for name in fields if name not in _FIELDS]
    if unknown:
        raise InvalidInput(Violation(name, "unknown field", f"one of {', '.join(_FIELDS)}") for name in unknown)
    if "text" not in fields:
        raise InvalidInput.of("text", "missing", "send {text, ...}")
    return make_content(**fields)
