from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InvalidInput
from guard.policy.policy import Streaming
from guard.types import Span
from guard.window import Slice, Window
from tests.streams import BORDERS, WHOLE, cut, cut_words, plain_tokens, texts

_SIZES = st.builds(Streaming, st.integers(1, 12), st.integers(0, 20), st.integers(8, 20))
_SMALL = Streaming(lookahead=4, context=6, step=8)


def _window(sizes: Streaming = _SMALL, most: int = 100_000) -> Window:
    return Window(sizes, plain_tokens, max_characters=most)


def _drain(window: Window) -> list[Slice]:
    """Take every slice that is due and let its part leave."""
    slices = []
    while window.due:
        piece = window.slice()
        window.release(piece.start + piece.part.end)
        slices.append(piece)
    return slices


def _run(sizes: Streaming, deltas: list[str], pauses: frozenset[int] = frozenset()) -> list[Slice]:
    window = _window(sizes)
    slices = []
    for number, delta in enumerate(deltas):
        window.push(delta)
        slices += _drain(window)
        if number in pauses:
            window.pause()
            slices += _drain(window)
    window.close()
    slices += _drain(window)
    assert window.held == 0
    return slices


def _left(slices: list[Slice]) -> list[str]:
    return [piece.text[piece.part.start : piece.part.end] for piece in slices]


@given(_SIZES, texts(), BORDERS, st.frozensets(st.integers(0, 40)))
def test_what_leaves_is_the_stream(sizes: Streaming, text: str, borders: list[int], pauses: frozenset[int]) -> None:
    """The parts joined are the text, character for character, whatever the borders and the pauses."""
    slices = _run(sizes, cut(text, borders), pauses)
    assert "".join(_left(slices)) == text
    assert all(text.startswith(piece.text, piece.start) for piece in slices)


@given(_SIZES, texts(), BORDERS, st.frozensets(st.integers(0, 40)))
def test_nothing_leaves_without_its_lookahead(
    sizes: Streaming, text: str, borders: list[int], pauses: frozenset[int]
) -> None:
    """What leaves was screened with `lookahead` tokens behind it, or up to the end of the closed stream."""
    for piece in _run(sizes, cut(text, borders), pauses):
        behind = plain_tokens(piece.text[piece.part.end :])
        counted = len(behind) + cut_words(text)
        assert counted >= sizes.lookahead or piece.start + len(piece.text) == len(text)


@given(_SIZES, texts(), BORDERS, st.frozensets(st.integers(0, 40)))
def test_what_is_held_is_screened_with_its_context(
    sizes: Streaming, text: str, borders: list[int], pauses: frozenset[int]
) -> None:
    """A slice has `context` tokens in front of what leaves, or all that the stream has."""
    for piece in _run(sizes, cut(text, borders), pauses):
        before = plain_tokens(piece.text[: piece.part.start])
        assert len(before) + cut_words(text) >= sizes.context or not plain_tokens(text[: piece.start])


@given(_SIZES, texts(), BORDERS)
def test_slices_follow_from_the_text_alone(sizes: Streaming, text: str, borders: list[int]) -> None:
    """Where the deltas have their borders changes no slice."""
    assert _run(sizes, cut(text, borders)) == _run(sizes, [text]) == _run(sizes, list(text))


@given(st.lists(st.sampled_from(WHOLE), max_size=60), BORDERS, st.frozensets(st.integers(0, 40)))
def test_no_character_is_torn(pieces: list[str], borders: list[int], pauses: frozenset[int]) -> None:
    """Letters keep their marks, emoji their sequences, flags their halves and line ends their two characters."""
    text = "".join(pieces)
    at = 0
    for part in _left(_run(_SMALL, cut(text, borders), pauses)):
        at += len(part)
        if 0 < at < len(text) and part:
            before, after = text[at - 1], text[at]
            # A long row of marks stands for no character of any script.
            marks = len(part) - len(part.rstrip("\u0301")) > 20
            assert marks or not unicodedata.category(after).startswith("M")
            assert (before, after) != ("\r", "\n")
            assert "\u200d" not in {before, after} or after == "\u200b"
            assert not 0x1F3FB <= ord(after) < 0x1F400
            flags = len(text[:at]) - len(text[:at].rstrip("\U0001f1e9\U0001f1ea"))
            assert not (flags % 2 and after in "\U0001f1e9\U0001f1ea")


@given(_SIZES, st.integers(1, 40))
def test_cost_is_linear(sizes: Streaming, times: int) -> None:
    """Each token is screened a bounded number of times, however long the stream and however small its deltas."""
    text = "hello 我爱北京, the world process. " * times
    screened = sum(piece.tokens for piece in _run(sizes, list(text)))
    bound = (sizes.context + sizes.lookahead + 2 * sizes.step + 4) / sizes.step + 2
    assert screened <= len(plain_tokens(text)) * bound + 4 * (sizes.context + sizes.lookahead + sizes.step)


@pytest.mark.parametrize(
    "flood", [" ", "\n", "\u200b", "\u200d", "\u0301", "a", "字", "\U0001f1e9", "\u3000\u200d", "=", "字\u0301\u0301"]
)
def test_every_character_is_counted_once(flood: str) -> None:
    """The tokenizer reads each character a bounded number of times, whatever the stream is flooded with."""
    read = 0

    def tokenise(text: str) -> list[Span]:
        nonlocal read
        read += len(text)
        return plain_tokens(text)

    window = Window(Streaming(), tokenise, max_characters=1_000_000)
    size = 30_000 // len(flood)
    for _ in range(size):
        window.push(flood)
        _drain(window)
    window.close()
    _drain(window)
    assert window.held == 0
    assert read <= 16 * size * len(flood)


def test_a_pause_releases_what_may_leave() -> None:
    """A stalled producer's text leaves up to the lookahead, and no further; a second pause changes nothing."""
    window = _window(Streaming(lookahead=4, context=6, step=100))
    window.push("one two three four five six seven")
    assert not window.due and window.stalled
    window.pause()
    (piece,) = _drain(window)
    # The last word may go on, so it is not counted yet.
    assert piece.text == "one two three four five six"
    assert piece.text[: piece.part.end] == "one two "
    assert not window.stalled
    window.pause()
    assert not window.due


def test_the_first_words_leave_early() -> None:
    """A stream begins with short steps: what leaves first waits for the lookahead and a quarter of a step."""
    window = _window(Streaming(lookahead=4, context=6, step=16))
    window.push("w " * 7)
    assert not window.due
    window.push("w ")
    (piece,) = _drain(window)
    assert piece.tokens == 8
    assert plain_tokens(piece.text[: piece.part.end]) == [Span(i, i + 1) for i in (0, 2, 4, 6)]


def test_less_may_leave_than_was_asked() -> None:
    """What a caller keeps back of a part comes with the next slice again."""
    window = _window()
    text = "a b c d e f g h i j k l m n o p q r s t u v w x y z "
    window.push(text)
    first = window.slice()
    window.release(first.start + first.part.end - 2)
    second = window.slice()
    assert second.start + second.part.start == first.start + first.part.end - 2


def test_words_and_numbers_stay_whole() -> None:
    """A slice ends behind a word, not in it."""
    window = _window()
    for char in "13812345678 " * 20:
        window.push(char)
        for piece in _drain(window):
            assert len(piece.text) % 12 in {0, 11}


def test_too_much_without_a_word_is_refused() -> None:
    """Text without tokens is held, and bounded: nothing of it leaves unscreened, and memory stays small."""
    window = _window(most=1000)
    for _ in range(100):
        window.push(" " * 10)
    with pytest.raises(InvalidInput, match="delta: over 1000 characters"):
        window.push(" ")
    bulk = _window(most=1000)
    with pytest.raises(InvalidInput, match="delta"):
        bulk.push(" " * 1001)


def test_an_empty_stream_has_no_slice() -> None:
    """Nothing in, nothing to screen."""
    window = _window()
    window.push("")
    window.close()
    assert not window.due
