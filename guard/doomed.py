"""Sentences of a stream that a slice found have to go, and that are still held: they go, whatever later slices show.

A slice sees a sentence in its lookahead first, often a part of it. A block there ends the stream, and what was found
needs no second look. A sentence that is dropped is held until its end has come, and the slices until then show it in
other company, where a score may fall below its threshold: what one slice has found, none takes back. Later slices are
screened without it, which is what the reader will see. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from guard.placeholders import Numbers
from guard.rewrite import MASK, Edit, Rewritten, rewrite
from guard.sentences import sentences
from guard.types import CATEGORIES, Operator, Rewrite, Span


def of_sentence(done: Rewrite) -> bool:
    """True for what the classifier minds; what recognizers find is found again wherever it stands."""
    return done.operator is Operator.DROP_SENTENCE or done.category in CATEGORIES


def without(text: str, doomed: Iterable[Rewrite], numbers: Numbers) -> Rewritten:
    """A slice as it is without its doomed sentences.

    Args:
        text: The slice.
        doomed: What was decided about them, with spans of ``text``. They begin where those do and end where they end
            now, which may be further on.
        numbers: The names of what is hidden.
    """
    ends = [end for _, end in sentences(text)]
    edits = []
    for done in doomed:
        end = ends[bisect_right(ends, done.span.start)]
        whole = Operator.MASK if done.replacement == MASK * (done.span.end - done.span.start) else None
        new = None if done.operator is whole else done.replacement
        edits.append(Edit(Span(done.span.start, end), done.operator, done.category, new))
    return rewrite(text, edits, numbers)


def together(first: Rewritten, then: Sequence[Rewrite]) -> tuple[Rewrite, ...]:
    """What two rewritings did to a text, the second one to what the first had made of it; in order, disjoint."""
    later = [replace(done, span=first.original(done.span)) for done in then]
    spans = [done.span for done in later]
    earlier = [
        done
        for done in first.rewrites
        if not any(span.start < done.span.end and done.span.start < span.end for span in spans)
    ]
    return tuple(sorted((*earlier, *later), key=lambda done: done.span.start))
