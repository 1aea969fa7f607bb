"""The hold-back window of a stream: which slice to screen next, and how far its text may then leave. Pure.

No character leaves before it was screened together with the ``lookahead`` model tokens behind it, or the stream was
closed. Text is counted in tokens as it comes, each character once, and a slice is cut every ``step`` tokens: it has
``context`` tokens that have left already, then all that is held. So a character is screened about
``(context + lookahead + step) / step`` times, however long the stream is, and the cost is linear.

Where slices begin and end follows from the text alone and not from the borders of its deltas, except where a producer
paused. Words and what a reader sees as one character (UAX #29: letters with marks, emoji sequences, flags, CRLF) stay
whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from guard.borders import LONGEST, MOST_MARKS, in_word, is_chinese, last_border, pieces, torn
from guard.errors import InvalidInput
from guard.policy.policy import Streaming
from guard.types import Rewrite, Span

#: Gives the model tokens of a text, each as the code points that it covers.
Tokenise = Callable[[str], Sequence[Span]]

# Chinese words are matched longest first; this many characters behind a word nothing can change it any more.
_SETTLED = 8
_HAN_PENDING = 12

# How far a slice's beginning moves back to leave a word whole.
_MOST_PIECES = 8

# A slice brings this share of what is held for the end of a place at least: a long one is not screened at every step.
_SHARE = 2
# Tokens that a slice waits for at most while the end of a place is awaited, if its step is not larger.
_MOST_COMING = 1024

# Below this many characters nothing is gained by giving memory back.
_KEEP = 4096


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of a stream to be screened in one piece.

    Attributes:
        text: Context and held text.
        start: Code point of the stream where ``text`` begins.
        part: What of ``text`` leaves if it passes; what lies before has left, what lies behind will be screened again.
        tokens: Model tokens of ``text``.
    """

    text: str
    start: int
    part: Span
    tokens: int

    @property
    def last(self) -> bool:
        """True if nothing follows it."""
        return self.part.end == len(self.text)

    def seen(self, done: Iterable[Rewrite]) -> Slice:
        """The slice with its context as it left.

        Args:
            done: What was rewritten, with spans of the stream; what lies before the part counts.
        """
        text, end, moved = self.text, self.part.start, 0
        for one in sorted(done, key=lambda one: -one.span.start):
            start, behind = one.span.start - self.start, one.span.end - self.start
            if 0 < behind <= self.part.start:
                # The beginning of the context may lie in what was rewritten.
                new = one.replacement if start >= 0 else ""
                text = text[: max(0, start)] + new + text[behind:]
                moved += len(new) - (behind - max(0, start))
        part = Span(end + moved, self.part.end + moved)
        return Slice(text, self.start - moved, part, self.tokens)


class Window:
    """The text of one stream between arriving and leaving. Not thread-safe; lives as long as its stream.

    :meth:`push` deltas and :meth:`close` it at the end. Whenever it is :attr:`due`, take the :meth:`slice`, screen it
    and say with :meth:`release` how much has left.
    """

    def __init__(self, sizes: Streaming, tokenise: Tokenise, *, max_characters: int) -> None:
        """Prepare an empty window.

        Args:
            sizes: Tokens of lookahead, context and step.
            tokenise: Tokens of a text; called with each stretch of the stream once.
            max_characters: Bound on the code points of a slice. It matters for text without tokens alone (a million
                spaces), which is held until there are enough of them.
        """
        self._sizes = sizes
        self._tokenise = tokenise
        self._max_characters = max_characters
        # Everything is counted in code points of the stream. Text from _origin on is in _text, then in _parts (joined
        # when a slice is cut), up to _known; from there on it is in _tail and its tokens may still change.
        self._text = ""
        self._parts: list[str] = []
        self._tail = ""
        self._origin = self._base = self._released = self._seen = self._known = 0
        # Tokens up to _known, those before index _first are out of use.
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._continues: list[bool] = []  # the word of the token before
        self._first = self._forgotten = 0
        # Short steps at the beginning: the reader waits for the first words.
        self._wanted = sizes.lookahead + max(1, sizes.step // 4)
        self._coming = max(1, sizes.step // 2)
        self._closed = self._paused = False
        self._waiting = 0  # tokens that are held beyond the lookahead: a place in them is not at its end

    @property
    def held(self) -> int:
        """Code points that have arrived and not left."""
        return self._known + len(self._tail) - self._released

    @property
    def tokens(self) -> int:
        """Model tokens of the stream up to the end of the last slice."""
        return self._forgotten + self._index(self._seen)

    @property
    def stalled(self) -> bool:
        """True if :meth:`pause` would let something leave."""
        fresh = len(self._starts) - self._index(self._seen)
        return (
            not self._closed
            and fresh > self._waiting // 8
            and len(self._starts) - self._index(self._released) > self._sizes.lookahead
        )

    @property
    def due(self) -> bool:
        """True if a slice is to be screened now."""
        return self._end() is not None

    def push(self, delta: str) -> None:
        """Take the next text.

        Raises:
            InvalidInput: Too many characters with too few tokens in them; the field is ``delta``.
        """
        self._tail += delta
        at = last_border(self._tail)
        if at:
            self._count(at)
        if len(self._tail) > _HAN_PENDING and is_chinese(self._tail):
            self._count_settled()
        elif len(self._tail) > LONGEST:
            # No border in it: what is complete of the pieces that it will be counted in.
            self._count(sum(map(len, pieces(self._tail)[:-1])))
        if self.held > self._max_characters and not self.due:
            raise self._too_long()

    def pause(self) -> None:
        """The producer stalls: let leave what may, without waiting for a whole step."""
        self._paused = self.stalled

    def close(self) -> None:
        """Nothing follows: all that is held becomes due."""
        self._count(len(self._tail))
        self._closed = True

    def slice(self) -> Slice:
        """The slice to screen now; :attr:`due` must be true.

        Raises:
            InvalidInput: Too many characters with too few tokens in them; the field is ``delta``.
        """
        end = self._end()
        if end is None:
            raise ValueError("no slice is due")
        if end - self._released > self._max_characters:
            raise self._too_long()
        start = max(self._base, end - self._max_characters)
        last = end == self._known and self._closed
        cut = end if last else self._cut(end)
        text = self._between(start, end)
        self._seen, self._paused = end, False
        self._wanted, self._coming = self._coming, self._sizes.step
        return Slice(
            text, start, Span(self._released - start, cut - start), bisect_left(self._starts, end) - self._index(start)
        )

    def release(self, until: int) -> None:
        """Text before a code point of the stream has left; what no slice needs any more is dropped."""
        self._released = max(self._released, until)
        held = self._index(self._released)
        self._waiting = max(0, self._index(self._seen) - held - self._sizes.lookahead)
        self._wanted = max(self._wanted, min(self._waiting // _SHARE, _MOST_COMING))
        begin = max(self._first, held - self._sizes.context)
        if begin == held:
            self._base = self._released
        elif begin > self._first:
            begin = self._word_start(begin)
            self._base = self._starts[begin]
        self._drop(begin)

    def _end(self) -> int | None:
        """Where the slice ends that is due; None if none is."""
        fresh = self._index(self._seen)
        last = fresh + self._wanted - 1
        # A word that the slice would cut is taken whole.
        while last + 1 < len(self._ends) and self._continues[last + 1]:
            last += 1
        if last < len(self._ends):
            return self._ends[last]
        if self._closed:
            return self._known if self._released < self._known else None
        return self._ends[-1] if self._paused and self._ends else None

    def _cut(self, end: int) -> int:
        """How far text may leave once it was screened up to ``end``."""
        index = bisect_left(self._starts, end) - self._sizes.lookahead
        if index <= self._index(self._released):
            return self._released
        cut = self._starts[self._word_start(index)]
        near = max(self._origin, cut - MOST_MARKS)
        text = self._between(near, min(cut + 1, self._known))
        while cut > near and torn(text, cut - near):
            cut -= 1
        return max(cut, self._released)

    def _count(self, length: int) -> None:
        """Count the first characters of the tail, whose tokens no longer change."""
        text, self._tail = self._tail[:length], self._tail[length:]
        for piece in pieces(text):
            self._add(piece, self._tokenise(piece))

    def _count_settled(self) -> None:
        """Of a tail of Chinese characters count the words that are certain."""
        spans = self._tokenise(self._tail)
        limit = len(self._tail) - _SETTLED
        settled = [span.start for span in spans if 0 < span.start <= limit]
        if settled:
            text, self._tail = self._tail[: settled[-1]], self._tail[settled[-1] :]
            self._add(text, [span for span in spans if span.start < settled[-1]])

    def _add(self, text: str, spans: Sequence[Span]) -> None:
        last = -1
        for span in spans:
            self._starts.append(self._known + span.start)
            self._ends.append(self._known + span.end)
            self._continues.append(span.start == last and in_word(text, last))
            last = span.end
        self._parts.append(text)
        self._known += len(text)

    def _between(self, start: int, end: int) -> str:
        if self._parts:
            self._text = "".join((self._text, *self._parts))
            self._parts = []
        return self._text[start - self._origin : end - self._origin]

    def _drop(self, first: int) -> None:
        """Forget tokens before an index and text before the base; in large steps, so that each is moved seldom."""
        self._first = first
        if first > _KEEP and first > len(self._starts) // 2:
            del self._starts[:first], self._ends[:first], self._continues[:first]
            self._forgotten += first
            self._first = 0
        unused = self._base - self._origin
        if unused > _KEEP and unused > len(self._text) // 2:
            self._text = self._text[unused:]
            self._origin = self._base

    def _index(self, position: int) -> int:
        """Index of the first token that begins at a code point of the stream or behind it."""
        return bisect_left(self._starts, position, self._first)

    def _word_start(self, index: int) -> int:
        """The token that begins the word of a token; the token itself where that is far."""
        for start in range(index, max(self._first, index - _MOST_PIECES) - 1, -1):
            if not self._continues[start]:
                return start
        return index

    def _too_long(self) -> InvalidInput:
        reason = f"over {self._max_characters} characters are held, and too few words are in them to screen"
        return InvalidInput.of("delta", reason, "send text and not padding")
