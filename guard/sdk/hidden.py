"""Values that a guard hid behind placeholders, and their way back. All of it stays with the caller.

A policy that rewrites with ``replace`` gives back ``Call <PHONE_1>``. Which number that was the decision does not say,
and neither the guard nor its log remembers: the caller, who has the text, reads it from the spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from guard.placeholders import PLACEHOLDER, Numbers
from guard.types import Decision, Operator


class Placeholders(Mapping[str, str]):
    """The placeholders of one conversation and the values behind them; a mapping. Not thread-safe.

    The guard numbers the values of each text, counting those in the context that it was given. :meth:`hide` numbers
    them all through a conversation, so that a value keeps its placeholder even where the context is cut or was
    rewritten before.
    """

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._numbers = Numbers()

    def hide(self, text: str, decision: Decision) -> str:
        """What to send on instead of a text: the decision's ``output_text``, with this conversation's placeholders.

        Args:
            text: The text as it was screened.
            decision: What a guard decided about it.
        """
        if decision.message or not decision.rewrites:
            return decision.output_text
        self._numbers.read([text])
        out: list[str] = []
        at = 0
        for done in decision.rewrites:
            new = done.replacement
            if done.operator is Operator.REPLACE:
                value = text[done.span.start : done.span.end]
                new = self._numbers.name(done.category, value)
                self._values.setdefault(new, value)
            out += (text[at : done.span.start], new)
            at = done.span.end
        return "".join((*out, text[at:]))

    def __getitem__(self, placeholder: str) -> str:
        return self._values[placeholder]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Values are what must not get into a log.
        return f"Placeholders({', '.join(self._values)})"


def restore(text: str, values: Mapping[str, str]) -> str:
    """A text, such as a model's answer, with the values in the places of their placeholders.

    Args:
        text: The text; placeholders that are not known stay, and what was put in is not looked at again.
        values: Placeholder -> value, such as :class:`Placeholders`.
    """
    return PLACEHOLDER.sub(lambda found: values.get(found.group(), found.group()), text)


def restore_stream(pieces: Iterable[str], values: Mapping[str, str]) -> Iterator[str]:
    """:func:`restore` for a text that comes in pieces: what may be the beginning of a placeholder waits for its end."""
    longest = max(map(len, values), default=0)
    held = ""
    for piece in pieces:
        held += piece
        start = held.rfind("<")
        waits = start >= 0 and ">" not in held[start:] and len(held) - start < longest
        ready = start if waits else len(held)
        if ready:
            yield restore(held[:ready], values)
            held = held[ready:]
    if held:
        yield held
