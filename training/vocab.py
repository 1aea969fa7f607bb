"""Stage 1: a bilingual vocabulary for an English WordPiece encoder.

    python -m training.vocab --backbone DIR_OR_ID --text PARQUET [--text ...] --output runs/NAME/vocab

Keeps the encoder's pieces that occur in the corpora's English and adds every character of the corpora that it lacks
(Chinese above all, emoji too), all of GB 2312, the most frequent Chinese words (segmented by jieba), and the two
direction tokens. A new character's embedding starts as the mean of the encoder's embeddings of its English gloss:
Unihan's kDefinition, else its Unicode name; a word's as the mean of its characters. Writes a Hugging Face directory
that every later stage takes as ``--backbone``.

Unihan_Readings.txt(.bz2) comes from the Unicode Character Database (Debian package unicode-data).
"""

from __future__ import annotations

import argparse
import bz2
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import jieba
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from guard.classifier.chunker import OUTPUT_TOKEN, PROMPT_TOKEN
from guard.normalize import normalize
from training.network import load_encoder
from training.run import Run

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", PROMPT_TOKEN, OUTPUT_TOKEN]
_CHINESE = re.compile("[\u4e00-\u9fff]+")
#: A longer word would become one unknown token, and so unread: as good as no limit.
LONGEST_WORD = 1_000_000
UNIHAN = Path("/usr/share/unicode/Unihan_Readings.txt.bz2")


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True, help="Hugging Face directory or id of a BERT WordPiece encoder")
    parser.add_argument("--text", type=Path, action="append", default=[], help="parquet file or directory to count")
    parser.add_argument("--unihan", type=Path, default=UNIHAN, help="Unihan_Readings.txt or .bz2; none: no glosses")
    parser.add_argument("--min-count", type=int, default=5, help="occurrences that earn a character a place")
    parser.add_argument("--min-piece-count", type=int, default=2, help="occurrences that keep an English piece")
    parser.add_argument("--words", type=int, default=8000, help="Chinese words of two to four characters")
    parser.add_argument("--every", type=int, default=1, help="count every n-th text only")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    run = Run.start(args.output, vars(args), args.text)
    base = AutoTokenizer.from_pretrained(args.backbone)
    counts = count(islice(_texts(args.text), 0, None, args.every), base)
    run.log("counted")
    kept = kept_pieces(base.get_vocab(), counts.pieces, args.min_piece_count)
    new = new_characters(kept, counts.characters, args.min_count)
    words = [word for word, _ in counts.words.most_common(args.words)]
    tokenizer = make_tokenizer([*_SPECIAL, *(p for p in kept if p not in _SPECIAL), *new, *words])
    encoder = load_encoder(args.backbone)
    glosses = read_glosses(args.unihan)
    glossed = _resize(encoder, tokenizer, base, [*new, *words], glosses)
    encoder.save_pretrained(args.output)  # type: ignore[operator]  # nn.Module hides the HF class
    tokenizer.save(str(args.output / "tokenizer.json"))
    run.finish({"pieces": len(kept), "characters": len(new), "words": len(words), "glossed": glossed})


def _texts(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
            table = pq.read_table(file)
            keep = [c != "restricted" for c in table.column("licence_class").to_pylist()]
            for column in ("text", "zh", "en"):
                if column in table.column_names:
                    values = table.column(column).to_pylist()
                    yield from (value for value, ok in zip(values, keep, strict=True) if ok and value)


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each character, each Chinese word and each of the encoder's pieces occurs in normalised texts."""

    characters: Counter[str]
    words: Counter[str]
    pieces: Counter[str]


def count(texts: Iterable[str], base: PreTrainedTokenizerBase) -> Counts:
    """Count over texts; Chinese ones are segmented into words, the others split by the encoder's tokenizer."""
    jieba.setLogLevel(logging.WARNING)
    counts = Counts(Counter(), Counter(), Counter())
    english: list[str] = []
    for text in texts:
        clean = normalize(text).text
        counts.characters.update(clean)
        runs = _CHINESE.findall(clean)
        if sum(map(len, runs)) * 5 > len(clean):
            for run in runs:
                counts.words.update(word for word in jieba.cut(run) if 2 <= len(word) <= 4)
        else:
            english.append(clean)
        if len(english) == 2000:
            _count_pieces(english, base, counts.pieces)
            english.clear()
    _count_pieces(english, base, counts.pieces)
    return counts


def _count_pieces(texts: list[str], base: PreTrainedTokenizerBase, into: Counter[str]) -> None:
    for encoding in base.backend_tokenizer.encode_batch(texts, add_special_tokens=False):
        into.update(encoding.tokens)


def kept_pieces(vocab: dict[str, int], counts: Counter[str], min_count: int) -> list[str]:
    """The encoder's pieces in their order: those that occur, single characters (they spell what is rare), specials."""
    ordered = [piece for piece, _ in sorted(vocab.items(), key=lambda item: item[1])]
    return [
        piece
        for piece in ordered
        if not piece.startswith("[unused")
        and (piece in _SPECIAL or len(piece.removeprefix("##")) == 1 or counts[piece] >= min_count)
    ]


def new_characters(pieces: Iterable[str], counts: Counter[str], min_count: int) -> list[str]:
    """Characters to add: frequent ones of the corpora and all of GB 2312, most frequent first."""
    known = set(pieces)
    standard = {
        bytes((row, cell)).decode("gb2312", errors="ignore") for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF)
    } - {""}
    found = {c for c, n in counts.items() if n >= min_count and not c.isspace() and c.lower() == c}
    wanted = {c for c in found | standard if unicodedata.category(c)[0] in "LNPS" and len(c) == 1}
    # The tokenizer strips accents, so precomposed letters would never be looked up.
    reachable = {c for c in wanted - known if unicodedata.normalize("NFD", c) == c or unicodedata.category(c) == "Lo"}
    return sorted(reachable, key=lambda c: (-counts[c], c))


def make_tokenizer(vocabulary: list[str]) -> Tokenizer:
    """A BERT tokenizer (lower-case, accents stripped, Chinese characters apart) over a vocabulary."""
    table = {piece: index for index, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(table, unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD))
    tokenizer.normalizer = BertNormalizer(lowercase=True, strip_accents=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer


def read_glosses(path: Path) -> dict[str, str]:
    """English glosses of Chinese characters from kDefinition of Unihan_Readings.txt(.bz2); empty without the file."""
    if not path.exists():
        return {}
    text = bz2.decompress(path.read_bytes()).decode() if path.suffix == ".bz2" else path.read_text(encoding="utf-8")
    glosses: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and parts[1] == "kDefinition":
            glosses[chr(int(parts[0].removeprefix("U+"), base=16))] = parts[2]
    return glosses


def gloss_of(char: str, glosses: dict[str, str]) -> str:
    """The character's English gloss, else its Unicode name where that says anything; may be empty."""
    if char in glosses:
        return glosses[char]
    name = unicodedata.name(char, "").lower()
    return "" if "ideograph" in name else name


def _resize(encoder, tokenizer: Tokenizer, base, new: list[str], glosses: dict[str, str]) -> int:  # type: ignore[no-untyped-def]  # HF classes are untyped
    """Give the encoder an embedding table for the new vocabulary; returns how many rows came from a gloss."""
    old = encoder.get_input_embeddings().weight.detach()
    base_vocab = base.get_vocab()
    mean, spread = old.mean(dim=0), old.std(dim=0)
    generator = torch.Generator().manual_seed(0)
    rows = torch.empty(tokenizer.get_vocab_size(), old.shape[1])
    glossed = 0
    fresh = set(new)

    def glossed_ids(piece: str) -> list[int]:
        gloss = gloss_of(piece, glosses) if piece in fresh else ""
        ids: list[int] = base(gloss, add_special_tokens=False)["input_ids"][:12] if gloss else []
        return ids

    for piece, index in tokenizer.get_vocab().items():
        if piece in base_vocab:
            rows[index] = old[base_vocab[piece]]
            continue
        if len(piece) > 1 and piece in fresh:
            continue
        ids = glossed_ids(piece)
        if ids:
            # A little noise keeps characters with the same gloss apart.
            noise = torch.randn(old.shape[1], generator=generator) * spread * 0.1
            rows[index] = old[torch.tensor(ids)].mean(dim=0) + noise
            glossed += 1
        else:
            rows[index] = mean + torch.randn(old.shape[1], generator=generator) * spread * 0.3
    for word in (piece for piece in new if len(piece) > 1):
        characters = [index for index in map(tokenizer.token_to_id, word) if index is not None]
        rows[tokenizer.token_to_id(word)] = rows[torch.tensor(characters)].mean(dim=0)
    table = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=tokenizer.token_to_id("[PAD]"), _weight=rows)
    encoder.set_input_embeddings(table)
    encoder.config.vocab_size = rows.shape[0]
    encoder.config.pad_token_id = tokenizer.token_to_id("[PAD]")
    return glossed


if __name__ == "__main__":
    main()
