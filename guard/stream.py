"""A stream under screening: deltas in, what may be passed on out, and one decision at the end.

The window says what to screen and what may leave after it; every slice goes through the engine like any other text.
A rewrite changes its spans before they leave, wherever the deltas had their borders. A block, or a rewrite by template,
ends the stream: nothing that is held leaves any more, and the decision carries the policy's message.

A sentence that is to go is held until its end has come, as long as it is not longer than :data:`LONGEST_SENTENCE`, and
goes whatever the slices until then show (:mod:`guard.doomed`). One whose beginning has left cannot be taken back, and
blocks; so does one that is found where more has gone already than has stayed, and at the end a stream of which more has
gone than stays, or nothing that can be seen: of a whole text at least half stays, too. What follows is screened with
what the reader has seen.

What a recognizer or a term finds is held until it is known where it ends, and so is what may become such a place
(:mod:`guard.opened`), for :data:`LONGEST_PLACE` tokens. Then the stream ends with a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from guard.content import is_blank
from guard.doomed import of_sentence, together, without
from guard.engine import Engine, Opening, Steps
from guard.errors import InvalidInput
from guard.opened import Opened, Openings
from guard.placeholders import Numbers
from guard.policy.evaluate import Outcome, message_for
from guard.promise import numbers_of
from guard.rewrite import Rewritten
from guard.tally import Tally
from guard.types import Action, Content, Decision, Operator, Rewrite, Span
from guard.window import Slice, Window

#: Tokens that a slice may grow by while the end of a sentence is waited for.
LONGEST_SENTENCE = 128
#: Tokens of the longest slice in which the end of a place is waited for, or half of a text's limit if that is less.
LONGEST_PLACE = 4096

# Characters of a delta that are counted, screened and released before the next ones are looked at: what a stream holds
# is bounded whatever its deltas are, and counting so many takes well under a millisecond.
_PIECE = 1024

# Bound on the characters of a slice: text with fewer words than it takes to fill a window is padding.
_MOST_HELD = 1 << 16


class Screening:
    """One stream. Not thread-safe, but each call may come from another thread; lives as long as the stream.

    :meth:`push` deltas, large ones :func:`in_pieces`, and :meth:`close` it; as long as it is :attr:`due`,
    :meth:`advance`. Screening happens in :meth:`advance` alone; the other methods take microseconds for an ordinary
    delta.

    Attributes:
        decision: The decision about the whole stream once it has ended; None until then. Its ``output_text`` is the
            message where there is one, and empty otherwise: the text has left already. ``scores`` are the highest of
            the slices, spans count from the stream's beginning, ``chunks`` are the pieces that were scored.
    """

    def __init__(self, engine: Engine, opening: Opening) -> None:
        self.decision: Decision | None = None
        self._engine = engine
        self._opening = opening
        self._found = Tally()
        self._closed = False
        self._numbers: Numbers | None = None
        self._dropped = 0
        self._shown = False
        self._doomed: list[Rewrite] = []
        sizes = opening.policy.streaming
        usual = sizes.context + sizes.lookahead + sizes.step
        limit = engine.classifier.artifact.limits.max_text
        self._most_tokens = min(usual + LONGEST_SENTENCE, limit) - sizes.step
        self._most_of_place = max(usual, min(LONGEST_PLACE, limit // 2))
        self._openings = Openings(opening.policy, opening.content.direction, opening.content.tags)
        most = min(engine.max_characters, _MOST_HELD)
        self._window = Window(opening.policy.streaming, engine.tokenise, max_characters=most)

    @property
    def content(self) -> Content:
        """What the stream began with; its text is of no account."""
        return self._opening.content

    @property
    def due(self) -> bool:
        """True if there is something for :meth:`advance` to do."""
        return self.decision is None and (self._window.due or self._closed)

    @property
    def held(self) -> int:
        """Characters that have come and not left."""
        return self._window.held

    @property
    def stalled(self) -> bool:
        """True if :meth:`pause` would let something leave."""
        return self._window.stalled

    def push(self, delta: str) -> None:
        """Take the next text; nothing after :meth:`close`.

        Raises:
            InvalidInput: A lone surrogate, a delta after the close, or 65 536 characters with hardly a word in them;
                the field is ``delta``.
        """
        if self._closed:
            raise InvalidInput.of("delta", "sent after the close", "open another stream")
        try:
            delta.encode()
        except UnicodeEncodeError:
            raise InvalidInput.of("delta", "invalid UTF-8: a lone surrogate", "send well-formed Unicode text") from None
        self._window.push(delta)

    def pause(self) -> None:
        """The producer stalls: what may leave does so without waiting for a whole slice."""
        self._window.pause()

    def close(self) -> None:
        """Nothing follows, so all that is held can be decided."""
        if not self._closed:
            self._window.close()
            self._closed = True

    def advance(self) -> str:
        """Screen the next slice, or end the stream if there is none.

        Returns:
            What may be passed on now; may be empty.

        Raises:
            InvalidInput: The slice is over a limit; the stream's held text counts as unscreened.
        """
        return self._engine.finish(self.advancing())

    def advancing(self) -> Steps[str]:
        """The steps of :meth:`advance`, for whoever scores differently; each may be taken in another thread."""
        if not self._window.due:
            self.decision = self._final(None)
            return ""
        piece = self._window.slice().seen(filter(of_sentence, self._found.rewrites))
        kept = self._without_doomed(piece)
        until = _until((done.span for done in kept.rewrites), piece.part)
        if self._doomed and until == piece.part.start and piece.tokens > self._most_tokens:
            # The end of the sentence that is to go has not come, and no more is held for it.
            return self._ended(piece, self._blocked((yield from self._screening(piece, _as_it_is(piece), False))))
        if (self._doomed or not piece.tokens) and is_blank(kept.text):
            # Nothing in it can be seen (a stream that begins with spaces, and ends), so there is nothing to screen.
            if self._too_little(piece, kept.rewrites):
                return self._ended(piece, self._blocked((yield from self._screening(piece, _as_it_is(piece), False))))
            return self._released(piece, kept.rewrites, until)
        stayed = piece.start + piece.part.start - self._dropped
        decision = yield from self._screening(piece, kept, self._dropped <= stayed)
        if decision.message:
            return self._ended(piece, decision)
        if self._too_little(piece, decision.rewrites):
            return self._ended(piece, self._blocked(decision))
        opened = () if piece.last else self._opened(piece, kept)
        until = _until_decided(decision, opened, piece)
        if until == piece.part.start and piece.tokens > self._most_of_place:
            # The end of a place has not come, and no more is held for it.
            firm = [one for one in opened if not one.own]
            until = _until((done.span for done in decision.rewrites), piece.part)
            if firm or until == piece.part.start:
                return self._ended(piece, self._blocked(decision, firm))
        self._found.add(piece, decision, until)
        return self._released(piece, decision.rewrites, until)

    def _too_little(self, piece: Slice, rewrites: Sequence[Rewrite]) -> bool:
        """True if the stream ends with this slice and more of it has gone than stays, or all that can be seen."""
        if not piece.last:
            return False
        gone = [done.span for done in rewrites if done.operator is Operator.DROP_SENTENCE]
        dropped = self._dropped + sum(span.end - span.start for span in gone)
        if not dropped:
            return False
        rest: list[str] = []
        at = piece.part.start
        for done in rewrites:
            rest += (piece.text[at : done.span.start], done.replacement)
            at = done.span.end
        rest.append(piece.text[at:])
        return 2 * dropped > piece.start + len(piece.text) or not (self._shown or not is_blank("".join(rest)))

    def _opened(self, piece: Slice, kept: Rewritten) -> tuple[Opened, ...]:
        """Places that a slice may have begun and cuts off; where they begin in the slice as it came."""
        part = Span(piece.part.start, kept.moved(piece.part.end))
        found = self._openings.first(kept.text, part)
        return tuple(replace(one, start=kept.original(Span(one.start, one.start + 1)).start) for one in found)

    def _ended(self, piece: Slice, decision: Decision) -> str:
        """End the stream with the decision about a slice; nothing of it leaves."""
        self._found.add(piece, decision, piece.part.end)
        self.decision = self._final(decision)
        return ""

    def _without_doomed(self, piece: Slice) -> Rewritten:
        """The slice as it is without the sentences that are to go."""
        if not self._doomed:
            return _as_it_is(piece)
        doomed = [replace(done, span=done.span.moved(-piece.start)) for done in self._doomed]
        return without(piece.text, doomed, self._names().copy())

    def _screening(self, piece: Slice, kept: Rewritten, droppable: bool) -> Steps[Decision]:
        """Decide about a slice without its doomed sentences; places are those of the slice as it came."""
        part = Span(piece.part.start, kept.moved(piece.part.end))
        decision = yield from self._engine.screening_slice(
            self._opening, kept.text, part, numbers=self._numbers, droppable=droppable
        )
        detections = tuple(replace(found, span=kept.original(found.span)) for found in decision.detections)
        rewrites = () if decision.message else together(kept, decision.rewrites)
        return replace(decision, detections=detections, rewrites=rewrites)

    def _blocked(self, last: Decision, opened: Sequence[Opened] = ()) -> Decision:
        """The last decision as a block, for what it or one before it has found, or for what is too long to be found."""
        known = {rule.id for rule in last.rules}
        would = {one.rule.id: one for one in opened if one.rule.id not in known}
        last = replace(last, rules=(*last.rules, *(one.fired for one in would.values())))
        rules = (*last.rules, *self._found.rules.values())
        text = message_for(self._opening.policy, Outcome(Action.BLOCK, rules, ()), last.language)
        return replace(last, action=Action.BLOCK, output_text=text, message=True, rewrites=())

    def _released(self, piece: Slice, rewrites: Sequence[Rewrite], until: int) -> str:
        """Let leave what may of a slice, with what was rewritten in it; sentences that are held and go are noted."""
        out: list[str] = []
        at = piece.part.start
        self._doomed = []
        for done in rewrites:
            found = replace(done, span=done.span.moved(piece.start))
            if done.span.end > until:
                self._doomed += [found] if of_sentence(done) else []
                continue
            self._found.rewrites.append(found)
            value = piece.text[done.span.start : done.span.end]
            out += (piece.text[at : done.span.start], done.replacement)
            at = done.span.end
            if done.operator is Operator.DROP_SENTENCE:
                self._dropped += len(value)
            elif done.operator is Operator.REPLACE:
                self._names().keep(done.category, value, done.replacement)
        out.append(piece.text[at:until])
        text = "".join(out)
        self._shown = self._shown or not is_blank(text)
        self._window.release(piece.start + until)
        return text

    def _names(self) -> Numbers:
        """The names of what the stream has hidden, and the conversation before it."""
        self._numbers = self._numbers or numbers_of(self._opening.context, self._opening.policy.recognizers)
        return self._numbers

    def _final(self, last: Decision | None) -> Decision:
        """The decision about the stream; ``last`` is that of the slice that ended it."""
        return self._found.decision(
            last,
            policy=self._opening.policy,
            model=self._engine.classifier.artifact.identity,
            tokens=self._window.tokens,
            request_id=self._opening.content.request_id,
        )


def screen_stream(engine: Engine, opening: Opening, deltas: Iterable[str | None]) -> Iterator[str | Decision]:
    """Screen a stream in the caller's thread.

    Args:
        engine: Decides.
        opening: What :meth:`guard.engine.Engine.open` gave.
        deltas: The text as it comes; None says that ``max_hold`` has passed without any.

    Yields:
        Text that may be passed on, never empty, and the decision as the last item. After a block no more deltas are
        taken.

    Raises:
        InvalidInput: As :meth:`Screening.push` and :meth:`Screening.advance`.
    """
    screening = Screening(engine, opening)
    for delta in deltas:
        if delta is None:
            screening.pause()
        for piece in in_pieces(delta or ""):
            screening.push(piece)
            yield from _released(screening)
            if screening.decision:
                break
        if screening.decision:
            break
    screening.close()
    yield from _released(screening)
    assert screening.decision is not None
    yield screening.decision


def in_pieces(delta: str) -> Iterator[str]:
    """A delta in pieces to be pushed one by one, with what is due advanced in between; an empty one is one piece.

    Slices follow from the text and not from the borders of its deltas, so this changes nothing that is released.
    """
    return (delta[at : at + _PIECE] for at in range(0, max(1, len(delta)), _PIECE))


def _released(screening: Screening) -> Iterator[str]:
    while screening.due:
        text = screening.advance()
        if text:
            yield text


def _until_decided(decision: Decision, opened: Iterable[Opened], piece: Slice) -> int:
    """How far a slice may leave without tearing what was found in it, or what it may have begun."""
    # What began before the part has been torn already.
    spans = (*(done.span for done in decision.rewrites), *(found.span for found in decision.detections))
    found = [span for span in spans if span.start >= piece.part.start]
    return _until((*found, *(Span(one.start, len(piece.text) + 1) for one in opened)), piece.part)


def _until(found: Iterable[Span], part: Span) -> int:
    """How far the part may leave without tearing something that was found: with more text it may be found otherwise."""
    spans = list(found)
    until = part.end
    while torn := [span.start for span in spans if span.start < until < span.end]:
        until = min(torn)
    return max(part.start, until)


def _as_it_is(piece: Slice) -> Rewritten:
    return Rewritten(piece.text, ())
