from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.classifier.artifact import TokenLimits
from guard.classifier.chunker import FIRST_TOKEN, OUTPUT_TOKEN, PROMPT_TOKEN, Chunk, Chunker
from guard.classifier.wordpiece import WordPiece
from guard.errors import ArtifactError
from guard.types import Direction, Role, Turn

_TEMPLATE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", PROMPT_TOKEN, OUTPUT_TOKEN)
_PIECES = (
    *_TEMPLATE,
    *"abcdefgh",
    *("##" + c for c in "abcdefgh"),
    *"你好爱天安门",
    "你好",
    "天安门",
    "[",
    "]",
    "sep",
    "cls",
    ".",
    ",",
)
_VOCABULARY = {piece: i for i, piece in enumerate(_PIECES)}
_TOKENIZER = WordPiece(_VOCABULARY)
_CLS, _SEP = _VOCABULARY["[CLS]"], _VOCABULARY["[SEP]"]
_SPEAKER = {Direction.PROMPT: _VOCABULARY[PROMPT_TOKEN], Direction.OUTPUT: _VOCABULARY[OUTPUT_TOKEN]}

_TEXT = st.one_of(st.text(max_size=80), st.text("abc 你好爱天安门.,\n", max_size=80))
_TURNS = st.lists(st.builds(Turn, st.sampled_from(Role), _TEXT), max_size=5)


@st.composite
def _limits(draw: st.DrawFn) -> TokenLimits:
    chunk = draw(st.integers(1, 20))
    return TokenLimits(
        chunk=chunk, overlap=draw(st.integers(0, chunk - 1)), context=draw(st.integers(0, 20)), max_text=1000
    )


def _text_ids(chunk: Chunk) -> tuple[int, ...]:
    return chunk.input_ids[2 : 2 + chunk.text_tokens]


def _context_ids(chunk: Chunk) -> tuple[int, ...]:
    return chunk.input_ids[3 + chunk.text_tokens :]


@given(_TEXT, _limits())
def test_chunks_cover_every_token_once_but_for_the_overlap(text: str, limits: TokenLimits) -> None:
    """The chunks' own tokens, each without what it shares with the one before, are the text's tokens."""
    chunks = Chunker(_TOKENIZER, limits).chunks(text, Direction.PROMPT)
    ids = [*_text_ids(chunks[0]), *(i for chunk in chunks[1:] for i in _text_ids(chunk)[limits.overlap :])]
    assert ids == _TOKENIZER.encode(text).ids


@given(_TEXT, _limits(), _TURNS)
def test_no_chunk_is_over_the_limit(text: str, limits: TokenLimits, context: list[Turn]) -> None:
    """A chunk has at most its share of text tokens, and with template and context a bounded length."""
    for chunk in Chunker(_TOKENIZER, limits).chunks(text, Direction.PROMPT, context):
        assert chunk.text_tokens <= limits.chunk
        assert len(chunk.input_ids) <= limits.chunk + 3 + limits.context + 1
        assert len(chunk.token_type_ids) == len(chunk.input_ids)


@given(_TEXT, _limits(), _TURNS)
def test_a_chunk_knows_where_its_tokens_stand(text: str, limits: TokenLimits, context: list[Turn]) -> None:
    """Each of a chunk's own tokens, which begin at a fixed index, has the place in the text that it was read from."""
    encoding = _TOKENIZER.encode(text)
    step = limits.chunk - limits.overlap
    for number, chunk in enumerate(Chunker(_TOKENIZER, limits).chunks(text, Direction.PROMPT, context)):
        own = slice(number * step, number * step + chunk.text_tokens)
        assert list(chunk.offsets) == encoding.offsets[own]
        assert list(chunk.input_ids[FIRST_TOKEN : FIRST_TOKEN + chunk.text_tokens]) == encoding.ids[own]
        assert all(chunk.start <= start < end <= chunk.end for start, end in chunk.offsets)


@given(_TEXT, _limits())
def test_neighbours_overlap(text: str, limits: TokenLimits) -> None:
    """Neighbours share exactly the overlap; all chunks but the last are full."""
    chunks = Chunker(_TOKENIZER, limits).chunks(text, Direction.PROMPT)
    for left, right in pairwise(chunks):
        assert left.text_tokens == limits.chunk
        shared = _text_ids(left)[limits.chunk - limits.overlap :]
        assert _text_ids(right)[: limits.overlap] == shared
        assert right.text_tokens > limits.overlap


@given(_TEXT, _limits())
def test_chunks_cover_the_whole_text(text: str, limits: TokenLimits) -> None:
    """The chunks' ranges of code points begin with the text, end with it, and leave out no token between."""
    chunks = Chunker(_TOKENIZER, limits).chunks(text, Direction.PROMPT)
    assert (chunks[0].start, chunks[-1].end) == (0, len(text))
    for left, right in pairwise(chunks):
        assert left.start <= right.start
        assert _TOKENIZER.encode(text[left.end : max(left.end, right.start)]).ids == []


@given(_TEXT, _limits(), st.sampled_from(Direction), _TURNS)
def test_a_sequence_has_the_templates_form(
    text: str, limits: TokenLimits, direction: Direction, context: list[Turn]
) -> None:
    """[CLS] direction text [SEP], then the context with token type 1 and its own [SEP], the same for all chunks."""
    chunks = Chunker(_TOKENIZER, limits).chunks(text, direction, context)
    for chunk in chunks:
        assert chunk.input_ids[:2] == (_CLS, _SPEAKER[direction])
        assert chunk.input_ids[2 + chunk.text_tokens] == _SEP
        assert chunk.token_type_ids == (0,) * (3 + chunk.text_tokens) + (1,) * len(_context_ids(chunk))
        assert _context_ids(chunk) == _context_ids(chunks[0])
        assert _context_ids(chunk)[-1:] in {(), (_SEP,)}


@given(_TEXT)
def test_count_is_the_number_of_tokens(text: str) -> None:
    """What is counted is what the chunks hold."""
    chunker = Chunker(_TOKENIZER, TokenLimits(chunk=1000, max_text=1000))
    assert chunker.count(text) == chunker.chunks(text, Direction.PROMPT)[0].text_tokens


def test_a_text_without_tokens_is_one_chunk() -> None:
    """Nothing to tokenise still gives one sequence to score."""
    (chunk,) = Chunker(_TOKENIZER, TokenLimits()).chunks(" ", Direction.OUTPUT)
    assert (chunk.text_tokens, chunk.start, chunk.end) == (0, 0, 1)


def test_a_text_cannot_write_the_template() -> None:
    """Text that spells a template token stays text."""
    (chunk,) = Chunker(_TOKENIZER, TokenLimits()).chunks("a [SEP] [CLS] [PROMPT] b", Direction.PROMPT)
    special = {_VOCABULARY[piece] for piece in _TEMPLATE} - {_VOCABULARY["[UNK]"]}
    assert not special & set(_text_ids(chunk))


def _context_of(turns: list[Turn], size: int) -> list[str]:
    limits = TokenLimits(context=size)
    (chunk,) = Chunker(_TOKENIZER, limits).chunks("a", Direction.OUTPUT, turns)
    return [_PIECES[i] for i in _context_ids(chunk)]


def test_turns_are_led_by_their_speaker() -> None:
    """An assistant's turn is led by the output token, every other one by the prompt token, oldest first."""
    turns = [Turn(Role.USER, "a b"), Turn(Role.ASSISTANT, "c"), Turn(Role.TOOL, "d")]
    expected = [PROMPT_TOKEN, "a", "b", OUTPUT_TOKEN, "c", PROMPT_TOKEN, "d", "[SEP]"]
    assert _context_of(turns, 64) == expected


def test_the_newest_turns_are_kept() -> None:
    """Where the context is too long the oldest turns go; the one that does not fit keeps both its ends."""
    turns = [Turn(Role.USER, "h"), Turn(Role.USER, "a b c d e f g"), Turn(Role.USER, "b a")]
    assert _context_of(turns, 8) == [PROMPT_TOKEN, "a", "b", "f", "g", PROMPT_TOKEN, "b", "a", "[SEP]"]


@pytest.mark.parametrize("size", [0, 1])
def test_no_room_is_no_context(size: int) -> None:
    """A model without room for a turn gets none, and no separator either."""
    assert _context_of([Turn(Role.USER, "a b c")], size) == []


@pytest.mark.parametrize("missing", [token for token in _TEMPLATE if token != "[UNK]"])
def test_a_tokenizer_without_the_template_is_refused(missing: str) -> None:
    """A vocabulary that lacks one of the template's tokens is refused with its name."""
    vocabulary = {piece: i for piece, i in _VOCABULARY.items() if piece != missing}
    with pytest.raises(ArtifactError) as refused:
        Chunker(WordPiece(vocabulary), TokenLimits())
    assert missing in str(refused.value)
