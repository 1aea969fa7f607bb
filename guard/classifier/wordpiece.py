"""BERT's WordPiece tokenizer in pure Python, read from ``tokenizer.json``.

The Rust package ``tokenizers`` would bring a hub client and its HTTP stack, 44 MB in all, into an environment that
never downloads anything; this file replaces it where texts are scored. A test holds the two equal, token for token
and offset for offset. Beside an inference of milliseconds the time is small: words are looked up in a cache.

Method: Devlin et al. 2019 (basic tokenizer: clean, split around CJK, strip accents, lower-case, split at spaces and
punctuation) and Wu et al. 2016 (greedy longest match within a word).

One thing is more than the library does: if the vocabulary has words of several Chinese characters, neighbouring
Chinese characters are matched against them, longest first. A Chinese text then has a quarter to a third fewer tokens,
and costs as much less. The library reads the same file and gives one token a character.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from guard.errors import ArtifactError

# The blocks that BERT sets apart character by character.
_CJK = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b920-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f]"
)
_CJK_RUN = re.compile(f"{_CJK.pattern}+")
# Of lower-cased ASCII: a word, or one punctuation character.
_ASCII = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
# Bounds on what is remembered, because texts come from strangers.
_CACHED_WORDS = 1 << 15
_CACHED_LENGTH = 100
_CACHED_CHARACTERS = 1 << 16


@dataclass(frozen=True, slots=True)
class Encoding:
    """The tokens of a text.

    Attributes:
        ids: Vocabulary ids.
        offsets: For each token the half-open range of code points of the given text that it covers.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one character contributes: its normalised form, whether it stands alone, whether it is Chinese."""

    text: str
    alone: bool
    cjk: bool = False


class WordPiece:
    """A vocabulary and its rules. Immutable but for a cache, and safe to share between threads."""

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        *,
        unknown: str = "[UNK]",
        prefix: str = "##",
        longest_word: int = 100,
        lowercase: bool = True,
        strip_accents: bool = True,
    ) -> None:
        """Take a vocabulary.

        Args:
            vocabulary: Piece to id; pieces that continue a word begin with ``prefix``.
            unknown: The piece for a word that the vocabulary cannot spell.
            prefix: Mark of continuation.
            longest_word: Words of more characters are unknown without a search.
            lowercase: Fold case.
            strip_accents: Decompose and drop non-spacing marks.

        Raises:
            ArtifactError: ``unknown`` is not in the vocabulary.
        """
        if unknown not in vocabulary:
            raise ArtifactError(f"tokenizer: no {unknown} in the vocabulary (export the model again)")
        self._vocabulary = dict(vocabulary)
        self._unknown = vocabulary[unknown]
        self._prefix = prefix
        self._longest_word = longest_word
        self._longest_piece = max(map(len, vocabulary))
        self._lowercase = lowercase
        self._strip_accents = strip_accents
        chinese = [len(entry) for entry in vocabulary if len(entry) > 1 and _CJK_RUN.fullmatch(entry)]
        self._longest_cjk = max(chinese, default=1)
        self._pieces: dict[str, _Piece | None] = {}
        self._cached_word = lru_cache(_CACHED_WORDS)(self._word)

    @classmethod
    def from_file(cls, path: Path) -> WordPiece:
        """Read ``tokenizer.json``.

        Raises:
            ArtifactError: The file is missing, not JSON, or describes another kind of tokenizer.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: not readable: {error} (export the model again)") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str) -> WordPiece:
        """Understand the contents of a ``tokenizer.json``; ``name`` stands in the errors.

        Raises:
            ArtifactError: Not JSON, or another kind of tokenizer.
        """
        try:
            raw = json.loads(text)
            model, normalizer = raw["model"], raw["normalizer"]
            kinds = (model["type"], normalizer["type"], raw["pre_tokenizer"]["type"])
            if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
                raise ArtifactError(f"{name}: a tokenizer of type {'/'.join(kinds)} (use a BERT-type encoder)")
            if not (normalizer["clean_text"] and normalizer["handle_chinese_chars"]):
                raise ArtifactError(f"{name}: needs clean_text and handle_chinese_chars (use a BERT-type encoder)")
            if any(not added["special"] for added in raw["added_tokens"]):
                raise ArtifactError(f"{name}: added tokens must be special ones (put words into the vocabulary)")
            accents = normalizer["strip_accents"]
            return cls(
                {**model["vocab"], **{added["content"]: added["id"] for added in raw["added_tokens"]}},
                unknown=model["unk_token"],
                prefix=model["continuing_subword_prefix"],
                longest_word=model["max_input_chars_per_word"],
                lowercase=normalizer["lowercase"],
                strip_accents=normalizer["lowercase"] if accents is None else accents,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{name}: not a tokenizer: {error!r} (export the model again)") from None

    def token_to_id(self, token: str) -> int | None:
        """The id of a vocabulary entry."""
        return self._vocabulary.get(token)

    def encode(self, text: str) -> Encoding:
        """Tokenise; text that spells a special token is ordinary text.

        Args:
            text: Any text; empty gives no tokens.
        """
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        if text.isascii() and text.isprintable() and self._lowercase:
            for match in _ASCII.finditer(text.lower()):
                start = match.start()
                for token, begin, end in self._tokens(match[0]):
                    ids.append(token)
                    offsets.append((start + begin, start + end))
            return Encoding(ids, offsets)
        word: list[str] = []
        sources: list[int] = []  # for each character of the word its place in the text
        words = self._longest_cjk > 1
        chinese = False  # what is collected are neighbouring Chinese characters
        for place, char in enumerate(text):
            piece = self._piece(char)
            if piece is None:
                self._close(word, sources, ids, offsets, chinese)
                continue
            if piece.alone or (chinese and piece.text):
                if not (words and piece.cjk and chinese):
                    self._close(word, sources, ids, offsets, chinese)
                chinese = words and piece.cjk
            word.append(piece.text)
            sources.extend([place] * len(piece.text))
            if piece.alone and not chinese:
                self._close(word, sources, ids, offsets, chinese)
        self._close(word, sources, ids, offsets, chinese)
        return Encoding(ids, offsets)

    def _close(
        self, word: list[str], sources: list[int], ids: list[int], offsets: list[tuple[int, int]], chinese: bool
    ) -> None:
        """End a word or a run of Chinese characters: append its tokens and empty it."""
        if sources:
            text = "".join(word)
            for token, begin, end in self._characters(text) if chinese else self._tokens(text):
                ids.append(token)
                offsets.append((sources[begin], sources[end - 1] + 1))
        word.clear()
        sources.clear()

    def _tokens(self, word: str) -> tuple[tuple[int, int, int], ...]:
        """The tokens of a word, remembered unless it is too long to be one: the cache holds words, not whole texts."""
        return self._cached_word(word) if len(word) <= _CACHED_LENGTH else self._word(word)

    def _word(self, word: str) -> tuple[tuple[int, int, int], ...]:
        """Greedy longest match: (id, start, end) of each piece, or one unknown token for the whole word."""
        if len(word) > self._longest_word:
            return ((self._unknown, 0, len(word)),)
        out: list[tuple[int, int, int]] = []
        start = 0
        while start < len(word):
            prefix = self._prefix if start else ""
            # No further than any entry reaches: a long word costs its length, not the square of it.
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                token = self._vocabulary.get(prefix + word[start:end])
                if token is not None:
                    out.append((token, start, end))
                    start = end
                    break
            else:
                return ((self._unknown, 0, len(word)),)
        return tuple(out)

    def _characters(self, run: str) -> list[tuple[int, int, int]]:
        """Greedy longest match in neighbouring Chinese characters; only an unknown character itself is unknown."""
        out: list[tuple[int, int, int]] = []
        start, size = 0, len(run)
        while start < size:
            for end in range(min(size, start + self._longest_cjk), start, -1):
                token = self._vocabulary.get(run[start:end])
                if token is not None:
                    break
            out.append((self._unknown if token is None else token, start, end))
            start = end
        return out

    def _piece(self, char: str) -> _Piece | None:
        """What a character contributes; None ends a word and leaves nothing (a space)."""
        try:
            return self._pieces[char]
        except KeyError:
            piece = self._classify(char)
            if len(self._pieces) < _CACHED_CHARACTERS:
                self._pieces[char] = piece
            return piece

    def _classify(self, char: str) -> _Piece | None:
        category = unicodedata.category(char)
        if char in "\t\n\r" or category in {"Zs", "Zl", "Zp"}:
            return None
        if char == "\ufffd" or category in {"Cc", "Cf", "Co"}:
            return _Piece("", alone=False)
        text = char
        if self._strip_accents:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        if self._lowercase:
            text = "".join(c.lower() for c in text)
        cjk = bool(_CJK.match(char))
        return _Piece(text, alone=cjk or any(map(_is_punctuation, text)), cjk=cjk)


def _is_punctuation(char: str) -> bool:
    if char < "\x80":
        return bool(_ASCII.fullmatch(char)) and not char.isalnum()
    return unicodedata.category(char).startswith("P")
