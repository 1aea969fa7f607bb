"""Random streams for the window, random bytes and messages for the wire, as many as there is time for; without a model.

Usage: ``python -m tests.fuzz [--inputs N] [--seed S]``. It prints its seed and what it did; a broken promise ends it
with the input that broke it.
"""

from __future__ import annotations

import argparse
import random
import sys
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import Message

from guard import wire
from guard.content import violations
from guard.errors import InvalidInput
from guard.policy.policy import Streaming
from guard.server.decode import decode_content, decode_contents, decode_event
from guard.v1 import guard_pb2 as pb
from guard.window import Slice, Window
from tests.streams import CHARGED, WHOLE, cut, cut_words, plain_tokens
from tests.wild import spoilt, wild_message

_PIECES = (*WHOLE, *CHARGED)
_MOST = 20_000
# Context, lookahead and two steps of the largest sizes below, and the longest words around them.
_MOST_TOKENS = 20 + 12 + 40 + 3 * 128


def fuzz_window(draw: random.Random) -> None:
    """One stream with random sizes, borders and pauses; all that a window promises is checked.

    Raises:
        AssertionError: A promise was broken; the message has the input.
    """
    sizes = Streaming(draw.randrange(1, 12), draw.randrange(0, 20), draw.randrange(8, 20))
    text = "".join(draw.choice(_PIECES) for _ in range(draw.randrange(0, 40)))
    if draw.random() < 0.1:
        text += draw.choice((" ", "\u200d", "\u0301", "a", "字", "\u3000\u200d")) * draw.randrange(500)
    deltas = cut(text, [draw.randrange(len(text) + 1) for _ in range(draw.randrange(20))])
    case = (sizes, deltas)
    window = Window(sizes, plain_tokens, max_characters=_MOST)
    lookahead = sizes.lookahead - cut_words(text)
    left: list[str] = []
    for delta in deltas:
        window.push(delta)
        left += _drain(window, lookahead, case)
        if draw.random() < 0.1:
            window.pause()
            left += _drain(window, lookahead, case)
    window.close()
    while window.due:
        piece = window.slice()
        left.append(_leave(window, piece))
    assert "".join(left) == text, case
    assert window.held == 0, case


def _drain(window: Window, lookahead: int, case: object) -> list[str]:
    left = []
    while window.due:
        piece = window.slice()
        assert len(plain_tokens(piece.text[piece.part.end :])) >= lookahead, case
        assert piece.tokens <= _MOST_TOKENS, case
        left.append(_leave(window, piece))
    return left


def _leave(window: Window, piece: Slice) -> str:
    window.release(piece.start + piece.part.end)
    return piece.text[piece.part.start : piece.part.end]


def fuzz_wire(draw: random.Random) -> None:
    """Random bytes, a random message, or one with some of its bytes changed, for each side of the wire.

    Raises:
        Exception: Anything but an InvalidInput came of what a caller sends, or anything at all of an answer.
    """
    asked = wild_message(draw, draw.choice(_ASKED)).SerializeToString()
    raw = (asked, spoilt(draw, asked), draw.randbytes(draw.randrange(60)))[draw.randrange(3)]
    for read in (_read_content, _read_event, _read_batch):
        with suppress(InvalidInput):
            read(raw)
    wire.decision_from_proto(_wild(draw, pb.Decision))
    wire.info_from_proto(_wild(draw, pb.GetInfoResponse))


_ASKED = (pb.ScreenRequest, pb.ScreenBatchRequest, pb.ScreenStreamRequest)
_M = TypeVar("_M", bound=Message)


def _wild(draw: random.Random, kind: type[_M]) -> _M:
    found = wild_message(draw, kind)
    assert isinstance(found, kind)
    return found


def _read_content(data: bytes) -> None:
    violations(wire.content_from_proto(decode_content(data)))


def _read_event(data: bytes) -> None:
    event = decode_event(data)
    if event.HasField("open"):
        violations(wire.opening_from_proto(event.open))


def _read_batch(data: bytes) -> None:
    for item in decode_contents(data):
        if isinstance(item, pb.Content):
            with suppress(InvalidInput):
                violations(wire.content_from_proto(item))


def main() -> None:
    """Feed both, by turns."""
    parser = argparse.ArgumentParser(description="Random input for the window and the wire.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    sys.stdout.flush()
    draw = random.Random(given.seed)
    for number in range(given.inputs):
        (fuzz_window if number % 2 else fuzz_wire)(draw)
    sys.stdout.write(f"{given.inputs} inputs, every promise kept\n")


if __name__ == "__main__":
    main()
