"""From a normalised text to the token sequences that the graph reads; training and serving share it.

One sequence is ``[CLS] <direction> text [SEP]`` and, where there is context,
``<role> turn <role> turn ... [SEP]`` behind it with token type 1. The direction and the roles are single
tokens of the vocabulary. A text longer than ``limits.chunk`` tokens becomes overlapping chunks, each with
the same context, so nothing is ever cut off unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.classifier.artifact import TokenLimits
from guard.classifier.wordpiece import WordPiece
from guard.errors import ArtifactError
from guard.types import Direction, Role, Turn

#: Vocabulary entries that carry the direction of a text and the speaker of a turn.
PROMPT_TOKEN = "[PROMPT]"
OUTPUT_TOKEN = "[OUTPUT]"
#: Index of the first of the text's own tokens in a sequence.
FIRST_TOKEN = 2
_SPECIAL = ("[CLS]", "[SEP]", "[PAD]", PROMPT_TOKEN, OUTPUT_TOKEN)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One token sequence for the graph.

    Attributes:
        input_ids: Token ids, template included.
        token_type_ids: 0 for the text, 1 for the context; same length.
        text_tokens: How many of the tokens are the text's own; they start at index :data:`FIRST_TOKEN`.
        start: First code point of the normalised text that this chunk covers.
        end: One past the last.
        offsets: For each of the text's own tokens the code points [start, end) of the normalised text that it covers.
    """

    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    text_tokens: int
    start: int
    end: int
    offsets: tuple[tuple[int, int], ...] = ()


class Chunker:
    """Tokenises and cuts. Immutable after construction and safe to share between threads."""

    def __init__(self, tokenizer: WordPiece, limits: TokenLimits) -> None:
        """Take a tokenizer whose vocabulary has the template's tokens.

        Raises:
            ArtifactError: If one of them is missing.
        """
        self._tokenizer = tokenizer
        self.limits = limits
        found = {token: tokenizer.token_to_id(token) for token in _SPECIAL}
        ids = {token: i for token, i in found.items() if i is not None}
        missing = sorted(found.keys() - ids.keys())
        if missing:
            raise ArtifactError(f"tokenizer: no {', '.join(missing)} in the vocabulary (export the model again)")
        # [PAD] is part of the artifact's format, though nothing is padded where chunks are scored one by one.
        self._cls, self._sep, _, self._prompt, self._output = (ids[token] for token in _SPECIAL)

    @classmethod
    def from_file(cls, path: Path, limits: TokenLimits) -> Chunker:
        """Load ``tokenizer.json``.

        Raises:
            ArtifactError: The file is not a tokenizer.
        """
        return cls(WordPiece.from_file(path), limits)

    def chunks(self, text: str, direction: Direction, context: Sequence[Turn] = ()) -> list[Chunk]:
        """The token sequences that together cover a normalised text.

        Args:
            text: Normalised text; may have no token at all (symbols only), which still gives one chunk.
            direction: Which direction token leads.
            context: Normalised turns, oldest first.

        Returns:
            At least one chunk, in order; neighbours share ``limits.overlap`` text tokens.
        """
        encoding = self._tokenizer.encode(text)
        ids, offsets = encoding.ids, encoding.offsets
        tail = self._context_ids(context)
        lead = self._prompt if direction is Direction.PROMPT else self._output
        size, step = self.limits.chunk, self.limits.chunk - self.limits.overlap
        out: list[Chunk] = []
        start = 0
        while True:
            end = min(start + size, len(ids))
            head = (self._cls, lead, *ids[start:end], self._sep)
            last = end == len(ids)
            out.append(
                Chunk(
                    input_ids=(*head, *tail),
                    token_type_ids=(0,) * len(head) + (1,) * len(tail),
                    text_tokens=end - start,
                    start=offsets[start][0] if start else 0,
                    end=len(text) if last else offsets[end - 1][1],
                    offsets=tuple(offsets[start:end]),
                )
            )
            if last:
                return out
            start += step

    def count(self, text: str) -> int:
        """Number of model tokens of a normalised text, without the template's."""
        return len(self._tokenizer.encode(text).ids)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each token of a normalised text the code points [start, end) that it covers, the template's left out."""
        return self._tokenizer.encode(text).offsets

    def _context_ids(self, context: Sequence[Turn]) -> tuple[int, ...]:
        """The newest turns that fit into ``limits.context`` tokens, then ``[SEP]``; empty without context.

        A turn that does not fit whole keeps its beginning and its end, where requests stand.
        """
        left = self.limits.context
        pieces: list[list[int]] = []
        for turn in reversed(context):
            if left < 2:
                break
            ids = self._tokenizer.encode(turn.text).ids
            room = left - 1
            if len(ids) > room:
                half = room // 2
                ids = ids[: room - half] + ids[len(ids) - half :]
            speaker = self._output if turn.role is Role.ASSISTANT else self._prompt
            pieces.append([speaker, *ids])
            left -= len(ids) + 1
        if not pieces:
            return ()
        return (*(i for piece in reversed(pieces) for i in piece), self._sep)
