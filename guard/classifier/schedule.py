"""Which chunks run next and who is let in: the batcher's decisions, without threads and without a clock of its own.

**Batches.** A batch is formed when somebody is free to run it, of what waits then; nothing is ever held back for
company. It is the chunk at the front of the queue, and of those behind it, in order, the ones of like length (the
longest at most 1.25 times the shortest) until the batch, padded to its longest chunk, is full. First-in-first-out
batches of mixed lengths were measured to halve the throughput: padding is work. Company is looked for among the tokens
of the next few batches and no further, so that texts of a common length do not pass by those of a rare one for ever.

**Fairness.** A call stands in the queue once, with the next of its chunks, and goes to the end of the queue whenever
one is taken. So a call that comes waits for one chunk of every call before it, however long their texts are: a flood
of long texts delays a short one by its number and not by its length, and calls of one chunk are served in the order
of their coming. What rides along in a batch is taken out of turn, which costs the front nothing but the longer run.
It is round robin over calls (Nagle 1985, RFC 970), each chunk being of much the same size.

**Admission.** The queue is bounded in tokens. A call may take half of the room that is left, so that calls too long to
fit leave room for short ones. It is refused, too, if it would probably not be done by its deadline: the tokens that
are served before it, at the speed of the recent runs. A call of several chunks has several rounds to wait for; how many
calls come meanwhile nobody knows, so a queue that has not been empty for so much work is taken to stay as it is for as
much again. While nothing waits everybody is let in; otherwise one slow run could close the door for good, as nothing
would run any more that corrects the estimate.

The idea of a token budget and a permit at the door is that of text-embeddings-inference.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

#: Longest over shortest chunk of a batch, in tokens.
LIKENESS = 1.25

# How far behind the front company is looked for, in full batches: there are enough of like length among those.
_REACH = 4

# What a run teaches about speed loses half of its weight in some seven runs.
_FADE = 0.9
# Calls that come later, and chunks that ride along, make waits longer than those ahead: the estimate allows for as
# much again, because a call that is let in and then not done in time has cost the others its work.
_CAUTION = 2.0
_UNKNOWN_RETRY = 1.0
_LEAST_RETRY = 0.05
_MOST_RETRY = 60.0


class Call:
    """Chunks that one caller waits for. Belongs to its schedule; whoever waits may derive from it."""

    __slots__ = ("_taken", "expires", "group", "left", "sizes")

    def __init__(self, sizes: Sequence[int], *, expires: float, group: Hashable | None) -> None:
        """Describe a call.

        Args:
            sizes: Tokens of each chunk, template included; at least one chunk.
            expires: When nobody waits for it any more, in seconds on the schedule's clock.
            group: Chunks of one group may share a run; one of None runs alone.
        """
        self.sizes = tuple(sizes)
        self.expires = expires
        self.group = group
        #: Tokens that still wait.
        self.left = sum(self.sizes)
        self._taken = 0

    @property
    def next_size(self) -> int:
        """Tokens of the chunk that waits."""
        return self.sizes[self._taken]

    def take(self) -> int:
        """Take the chunk that waits; its index."""
        index = self._taken
        self._taken += 1
        self.left -= self.sizes[index]
        return index

    @property
    def exhausted(self) -> bool:
        """True if none of its chunks waits any more."""
        return self._taken == len(self.sizes)


C = TypeVar("C", bound=Call)


@dataclass(frozen=True, slots=True)
class Piece(Generic[C]):
    """One chunk that is to be run: the call and the chunk's index in it."""

    call: C
    index: int

    @property
    def tokens(self) -> int:
        """Tokens of the chunk."""
        return self.call.sizes[self.index]


@dataclass(frozen=True, slots=True)
class Batch(Generic[C]):
    """Chunks that share one run; at least one."""

    pieces: tuple[Piece[C], ...]

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(piece.tokens for piece in self.pieces)

    @property
    def padding(self) -> int:
        """Tokens that are added to make all chunks as long as the longest."""
        return max(piece.tokens for piece in self.pieces) * len(self.pieces) - self.tokens


class Cause(StrEnum):
    """Why a call did not reach the model."""

    FULL = "full"
    LATE = "late"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that is not let in.

    Attributes:
        cause: ``full`` or ``late``.
        wait: Estimated seconds until it would have been done; 0 if there is no estimate.
        retry: Seconds after which it may be let in.
    """

    cause: Cause
    wait: float
    retry: float


class Schedule(Generic[C]):
    """The queue. Not thread-safe; its owner lends it a lock and a clock.

    Attributes:
        tokens: Tokens that wait.
        reserved: Tokens of calls that were let in and have no chunks yet, as estimated at the door.
        running: Tokens that are being run.
    """

    def __init__(self, *, workers: int, max_batch_tokens: int, max_queue_tokens: int) -> None:
        """Begin empty.

        Args:
            workers: How many batches are run at once.
            max_batch_tokens: Tokens of a batch, padding included; a longer chunk runs alone.
            max_queue_tokens: Tokens that may wait.
        """
        self.tokens = self.reserved = self.running = 0
        self._workers = workers
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        self._calls: deque[C] = deque()
        self._turns = 0  # tokens of one chunk of every call
        self._busy = 0  # tokens that were run since nothing waited
        self._seen_tokens = self._seen_seconds = 0.0

    def refusal(self, tokens: int, chunks: int, remaining: float) -> Refusal | None:
        """Whether a call is to be refused.

        Args:
            tokens: Its tokens, as far as they are known; 0 for a call that will have no chunks, which is let in.
            chunks: Pieces that it will be cut into.
            remaining: Seconds until its deadline.
        """
        if not tokens or not self.tokens + self.reserved:
            return None
        room = self._max_queue_tokens - self.tokens - self.reserved
        wait = self.wait(tokens, chunks)
        if 2 * tokens > room:
            seconds = self._seconds(2 * tokens - room)
            return Refusal(Cause.FULL, wait, _bounded(_UNKNOWN_RETRY if seconds is None else seconds))
        if wait > remaining:
            return Refusal(Cause.LATE, wait, _bounded(wait - remaining))
        return None

    def wait(self, tokens: int, chunks: int) -> float:
        """Estimated seconds until a call that comes now is done; 0 as long as no run was timed.

        Before each of its chunks every other call has its turn, as long as there are calls.
        """
        ahead = min(self._turns * chunks, self.tokens + self._busy) + self.reserved + self.running
        return _CAUTION * (self._seconds(ahead + tokens) or 0.0)

    def add(self, call: C) -> None:
        """Let a call's chunks wait; at the end of the queue."""
        self._calls.append(call)
        self._turns += call.next_size
        self.tokens += call.left

    def remove(self, call: C) -> bool:
        """Forget a call; what is running runs on. False if none of it waited."""
        if call.exhausted or call not in self._calls:
            return False
        self._calls.remove(call)
        self._forget(call)
        return True

    def expire(self, now: float) -> list[C]:
        """Forget the calls whose time is over, and name them."""
        late = [call for call in self._calls if call.expires <= now]
        if late:
            self._calls = deque(call for call in self._calls if call.expires > now)
            for call in late:
                self._forget(call)
        return late

    def clear(self) -> list[C]:
        """Forget every call, and name them."""
        calls = list(self._calls)
        self._calls.clear()
        self.tokens = self._turns = 0
        return calls

    def take(self) -> Batch[C] | None:
        """The next batch; None if nothing waits. :meth:`expire` comes before it."""
        if not self._calls:
            return None
        pieces: list[Piece[C]] = []
        passed_over: list[C] = []
        shortest = longest = self._calls[0].next_size
        group = self._calls[0].group
        reach = _REACH * self._max_batch_tokens
        while self._calls and (reach > 0 or not pieces):
            call = self._calls.popleft()
            reach -= call.next_size
            low, high = min(shortest, call.next_size), max(longest, call.next_size)
            fits = high * (len(pieces) + 1) <= self._max_batch_tokens and high <= LIKENESS * low
            if pieces and not (fits and call.group == group):
                passed_over.append(call)
                continue
            shortest, longest = low, high
            self._turns -= call.next_size
            pieces.append(Piece(call, call.take()))
            if not call.exhausted:
                self._turns += call.next_size
                self._calls.append(call)
            if group is None or longest * (len(pieces) + 1) > self._max_batch_tokens:
                break
        self._calls.extendleft(reversed(passed_over))
        batch = Batch(tuple(pieces))
        self.tokens -= batch.tokens
        self.running += batch.tokens
        self._busy = self._busy + batch.tokens if self._calls else 0
        return batch

    def finished(self, batch: Batch[C], seconds: float) -> None:
        """Learn that a batch has been run, and how long it took."""
        self.running -= batch.tokens
        self._seen_tokens = self._seen_tokens * _FADE + batch.tokens
        self._seen_seconds = self._seen_seconds * _FADE + seconds

    def _forget(self, call: C) -> None:
        self.tokens -= call.left
        self._turns -= call.next_size

    def _seconds(self, tokens: float) -> float | None:
        """What so many tokens take all workers together; None as long as no run was timed."""
        if not self._seen_seconds:
            return None
        return tokens * self._seen_seconds / (self._seen_tokens * self._workers)


def _bounded(seconds: float) -> float:
    return math.ceil(100 * min(max(seconds, _LEAST_RETRY), _MOST_RETRY)) / 100
