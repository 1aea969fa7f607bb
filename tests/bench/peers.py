"""What the sidecar is measured against, in processes of their own: one line of JSON in, one line out.

- ``bare``: the artifact's tokenizer (the compiled one of Hugging Face) and its graph in a loop, and nothing else: no
  normalisation, no recognizers, no policy, no network. Texts are cut into the chunks that are served.
- ``roberta``, ``same``: ``pipeline("text-classification")`` of Hugging Face in PyTorch, on a network of the size of
  roberta-base, or of the size of the artifact's; with random weights, because time does not depend on them.

Usage: ``python -m tests.bench.peers KIND ARTIFACT``; it says ``ready``, and then for each line
``{"texts": [...], "batch": N}`` the milliseconds of each call. Exit code 3: a library is not installed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from guard.classifier.artifact import FILES, Artifact, read_artifact
from guard.types import CATEGORIES

#: Scores texts in one call.
Score: TypeAlias = Callable[[Sequence[str]], object]

_MISSING = 3
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def bare(artifact: Artifact) -> Score:
    """The loop that a server cannot beat without sharing runs."""
    import onnxruntime as ort
    from tokenizers import Tokenizer

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(artifact.path(FILES.model)), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(artifact.path(FILES.tokenizer)))
    first, prompt, last = (tokenizer.token_to_id(token) for token in ("[CLS]", "[PROMPT]", "[SEP]"))
    limits = artifact.limits

    def score(texts: Sequence[str]) -> object:
        (text,) = texts
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        found = []
        for start in range(0, max(1, len(ids) - limits.overlap), limits.chunk - limits.overlap):
            row = np.array([[first, prompt, *ids[start : start + limits.chunk], last]], np.int64)
            feed = dict(zip(_INPUTS, (row, np.ones_like(row), np.zeros_like(row)), strict=True))
            found.append(session.run(None, feed))
        return found

    return score


def roberta(artifact: Artifact) -> Score:
    """A pipeline on a network of the size of roberta-base."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=50265,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=_pad(artifact),
    )
    config.num_labels = len(CATEGORIES)
    return _pipeline(RobertaForSequenceClassification(config), artifact)


def same(artifact: Artifact) -> Score:
    """A pipeline on a network of the size of the artifact's: 6 layers of 384, with the artifact's vocabulary."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=_tokenizer(artifact).vocab_size,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        pad_token_id=_pad(artifact),
    )
    config.num_labels = len(CATEGORIES)
    return _pipeline(BertForSequenceClassification(config), artifact)


PEERS: dict[str, Callable[[Artifact], Score]] = {"bare": bare, "roberta": roberta, "same": same}


def _tokenizer(artifact: Artifact) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(artifact.path(FILES.tokenizer)),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_max_length=512,
    )


def _pad(artifact: Artifact) -> int:
    pad: int = _tokenizer(artifact).pad_token_id
    return pad


def _pipeline(model: Any, artifact: Artifact) -> Score:
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    classify: Any = pipeline(
        "text-classification", model=model.eval(), tokenizer=_tokenizer(artifact), device="cpu", top_k=None
    )
    return lambda texts: classify(list(texts), batch_size=len(texts), truncation=True, function_to_apply="sigmoid")


def main() -> int:
    """Serve one process's standard input."""
    kind, directory = sys.argv[1:]
    # Whatever a library prints must not stand among the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        score = PEERS[kind](read_artifact(Path(directory)))
    except ImportError as error:
        sys.stderr.write(f"{kind} is left out: {error}\n")
        return _MISSING
    score(["warm up"])
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        times = []
        for start in range(0, len(asked["texts"]), asked["batch"]):
            began = time.perf_counter()
            score(asked["texts"][start : start + asked["batch"]])
            times.append((time.perf_counter() - began) * 1000)
        answers.write(json.dumps(times) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
