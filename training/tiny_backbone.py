"""A small random BERT encoder, so that every stage can run in seconds without any download.

    python -m training.tiny_backbone --output DIR

Two layers of width 64 over the ASCII characters and pieces of a few common English words. It knows nothing; it has
the file layout of a real Hugging Face encoder, which is what the smoke run and the tests need.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_WORDS = ("the", "a", "to", "of", "and", "in", "is", "you", "how", "what", "do", "i", "it", "for", "on", "with", "make")


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    write_tiny_backbone(parser.parse_args(argv).output)


def write_tiny_backbone(output: Path) -> None:
    """Write config, weights (seeded) and a WordPiece tokenizer as a Hugging Face directory."""
    torch.manual_seed(0)
    output.mkdir(parents=True, exist_ok=True)
    letters = [c for c in string.printable if not c.isspace() and not c.isupper()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *_WORDS]
    vocabulary = list(dict.fromkeys(pieces))
    tokenizer = Tokenizer(WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=512,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(output)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)  # type: ignore[no-untyped-call]
    fast.save_pretrained(output)


if __name__ == "__main__":
    main()
