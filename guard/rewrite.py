"""Operators that turn places in a text into new text. Pure: a text and edits in, a text and what was done out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from guard.placeholders import Numbers
from guard.types import Operator, Rewrite, Span

#: What stands for a masked code point.
MASK = "*"

#: The next harder operator where a rewritten text still may not pass; behind the last one it is blocked.
HARDER = {
    Operator.PARTIAL: Operator.MASK,
    Operator.REPLACE: Operator.MASK,
    Operator.MASK: Operator.DROP_SENTENCE,
    Operator.LLM: Operator.DROP_SENTENCE,
}
_HARDNESS = {operator: index for index, operator in enumerate(Operator)}


@dataclass(frozen=True, slots=True)
class Edit:
    """What to do with one place.

    Attributes:
        span: The place, in code points of the original.
        operator: ``mask``, ``partial``, ``replace`` or ``drop_sentence``.
        category: What was found there.
        text: What stands for a masked place (None: one ``*`` a character) or for a dropped sentence (None: nothing).
        keep: Characters that ``partial`` leaves.
    """

    span: Span
    operator: Operator
    category: str
    text: str | None = None
    keep: int = 4


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text after its edits, with the ways between it and the original.

    Attributes:
        text: The new text.
        rewrites: What was done, in order; spans do not overlap.
    """

    text: str
    rewrites: tuple[Rewrite, ...]
    # Where each replacement begins in the new text.
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        out, shift = [], 0
        for done in self.rewrites:
            out.append(done.span.start + shift)
            shift += len(done.replacement) - (done.span.end - done.span.start)
        object.__setattr__(self, "_starts", tuple(out))

    def original(self, place: Span) -> Span:
        """The original's range for a range of the new text; what touches a replacement takes all that it stands for."""
        start, end = self._back(place.start, end=False), self._back(place.end, end=True)
        return Span(start, max(start, end))

    def moved(self, at: int) -> int:
        """Where a position of the original lies in the new text; of one inside of an edit, where that ends."""
        moved = at
        for done in self.rewrites:
            if done.span.start >= at:
                break
            moved += len(done.replacement) - (min(at, done.span.end) - done.span.start)
        return moved

    def _back(self, at: int, *, end: bool) -> int:
        index = bisect_right(self._starts, at - end) - 1
        if index < 0:
            return at
        done = self.rewrites[index]
        behind = self._starts[index] + len(done.replacement)
        if at - end < behind:
            return done.span.end if end else done.span.start
        return at - behind + done.span.end


def rewrite(text: str, edits: Iterable[Edit], numbers: Numbers) -> Rewritten:
    """Apply edits; everything outside of them stays as it was, byte for byte.

    Args:
        text: The original.
        edits: Places in any order; where several overlap, the hardest operator takes all that they cover.
        numbers: Names the values that ``replace`` hides, in the order of the text.

    Raises:
        ValueError: A place lies outside of the text or ends before it starts.
    """
    out: list[str] = []
    done: list[Rewrite] = []
    at = 0
    for edit in merged(edits, len(text)):
        new = _replacement(edit, text[edit.span.start : edit.span.end], numbers)
        out += (text[at : edit.span.start], new)
        done.append(Rewrite(edit.span, edit.operator, edit.category, new))
        at = edit.span.end
    out.append(text[at:])
    return Rewritten("".join(out), tuple(done))


def merged(edits: Iterable[Edit], length: int) -> list[Edit]:
    """The edits in order, disjoint and not empty.

    Raises:
        ValueError: A place lies outside of a text of that length or ends before it starts.
    """
    out: list[Edit] = []
    for edit in sorted(edits, key=_order):
        span = edit.span
        if not 0 <= span.start <= span.end <= length:
            raise ValueError(f"span [{span.start}, {span.end}) outside of a text of {length} code points")
        if out and span.start < out[-1].span.end:
            last = out[-1]
            hardest = harder_of(last, edit)
            out[-1] = replace(hardest, span=Span(last.span.start, max(last.span.end, span.end)))
        elif span.start < span.end:
            out.append(edit)
    return out


def _order(edit: Edit) -> tuple[Span, int, str, bool, str, int]:
    return edit.span, _HARDNESS[edit.operator], edit.category, edit.text is None, edit.text or "", edit.keep


def harder_of(first: Edit, second: Edit) -> Edit:
    """The one with the harder operator; the first of two alike."""
    return second if _HARDNESS[second.operator] > _HARDNESS[first.operator] else first


def _replacement(edit: Edit, old: str, numbers: Numbers) -> str:
    match edit.operator:
        case Operator.MASK:
            return MASK * len(old) if edit.text is None else edit.text
        case Operator.PARTIAL:
            return _partial(old, edit.keep)
        case Operator.REPLACE:
            return numbers.name(edit.category, old)
        case Operator.DROP_SENTENCE:
            return edit.text or ""
        case _:
            raise ValueError(f"{edit.operator} rewrites no place")


def _partial(old: str, keep: int) -> str:
    """The end of a value, and at most half of what it says: four characters of a short one would give it away."""
    kept = min(keep, sum(map(str.isalnum, old)) // 2)
    at = len(old)
    while kept:
        at -= 1
        kept -= old[at].isalnum()
    return MASK * at + old[at:]
