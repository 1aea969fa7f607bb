"""Stage 1: a bilingual vocabulary for an English WordPiece encoder.

    python -m training.vocab --backbone DIR_OR_ID --text PARQUET [--text ...] --output runs/NAME/vocab

Keeps the encoder's pieces without its unused slots and adds every character of the corpora that it lacks
(Chinese above all, emoji too), all of GB 2312, and the two direction tokens. A new character's embedding
starts as the mean of the encoder's embeddings of its English gloss: Unihan's kDefinition, else its
Unicode name. Writes a Hugging Face directory that every later stage takes as ``--backbone``.

Unihan_Readings.txt(.bz2) comes from the Unicode Character Database (Debian package unicode-data).
"""

from __future__ import annotations

import argparse
import bz2
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoTokenizer

from guard.classifier.chunker import OUTPUT_TOKEN, PROMPT_TOKEN
from guard.normalize import normalize
from training.network import load_encoder
from training.run import Run

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", PROMPT_TOKEN, OUTPUT_TOKEN]
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
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    run = Run.start(args.output, vars(args), args.text)
    counts = count_characters(_texts(args.text))
    base = AutoTokenizer.from_pretrained(args.backbone)
    kept = kept_pieces(base.get_vocab())
    new = new_characters(kept, counts, args.min_count)
    tokenizer = make_tokenizer([*_SPECIAL, *(p for p in kept if p not in _SPECIAL), *new])
    encoder = load_encoder(args.backbone)
    glosses = read_glosses(args.unihan)
    glossed = _resize(encoder, tokenizer, base, new, glosses)
    encoder.save_pretrained(args.output)  # type: ignore[operator]  # nn.Module hides the HF class
    tokenizer.save(str(args.output / "tokenizer.json"))
    run.finish({"pieces": len(kept), "characters": len(new), "glossed": glossed})


def _texts(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
            table = pq.read_table(file)
            keep = [c != "restricted" for c in table.column("licence_class").to_pylist()]
            for column in ("text", "zh", "en"):
                if column in table.column_names:
                    values = table.column(column).to_pylist()
                    yield from (value for value, ok in zip(values, keep, strict=True) if ok and value)


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """How often each character occurs in the normalised texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalize(text).text)
    return counts


def kept_pieces(vocab: dict[str, int]) -> list[str]:
    """The encoder's pieces in their order, without its unused slots."""
    return [piece for piece, _ in sorted(vocab.items(), key=lambda item: item[1]) if not piece.startswith("[unused")]


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
    """English glosses of Chinese characters from Unihan's kDefinition; empty if the file is missing."""
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
    for piece, index in tokenizer.get_vocab().items():
        if piece in base_vocab:
            rows[index] = old[base_vocab[piece]]
            continue
        gloss = gloss_of(piece, glosses) if piece in fresh else ""
        ids = base(gloss, add_special_tokens=False)["input_ids"][:12] if gloss else []
        if ids:
            # A little noise keeps characters with the same gloss apart.
            noise = torch.randn(old.shape[1], generator=generator) * spread * 0.1
            rows[index] = old[torch.tensor(ids)].mean(dim=0) + noise
            glossed += 1
        else:
            rows[index] = mean + torch.randn(old.shape[1], generator=generator) * spread * 0.3
    table = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=tokenizer.token_to_id("[PAD]"), _weight=rows)
    encoder.set_input_embeddings(table)
    encoder.config.vocab_size = rows.shape[0]
    encoder.config.pad_token_id = tokenizer.token_to_id("[PAD]")
    return glossed


if __name__ == "__main__":
    main()
