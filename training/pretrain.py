"""Stage 2: align the bilingual encoder with the English one on sentence pairs.

    python -m training.pretrain --backbone runs/NAME/vocab --teacher DIR_OR_ID --pairs PARQUET --output runs/NAME/align

Multilingual knowledge distillation (Reimers & Gurevych 2020): for a pair (zh, en) the student's vector of
the Chinese sentence, and of the English one, is drawn to the English teacher's vector of the English
sentence; an in-batch contrastive term (temperature 0.05) keeps different sentences apart. Resumes from its
checkpoint; stops after ``--steps`` or when the pairs are used up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy
from torch.nn.functional import normalize as unit
from transformers import AutoTokenizer

from guard.classifier.artifact import TokenLimits
from guard.classifier.chunker import Chunker
from guard.classifier.wordpiece import WordPiece
from guard.normalize import normalize
from guard.types import Direction
from training.batches import collate
from training.network import load_encoder
from training.run import CHECKPOINT, Checkpoint, Run, device, length_batches, rate, seed_everything

_TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True)
class Pair:
    """Token ids of both sides of a sentence pair, for the student, and the English text for the teacher."""

    zh: tuple[int, ...]
    en: tuple[int, ...]
    text: str


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True, help="directory written by training.vocab")
    parser.add_argument("--teacher", required=True, help="English sentence encoder: directory or hub id")
    parser.add_argument("--pairs", type=Path, required=True, help="parquet with zh, en, source, licence_class")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-source", type=int, default=12000, help="pairs of one source at most")
    parser.add_argument("--max-tokens", type=int, default=48, help="longer sides are left out")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="stop early; 0: run to the end")
    parser.add_argument("--lr", type=float, default=1e-4, help="encoder; embeddings learn ten times as fast")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    seed_everything(args.seed)
    run = Run.start(args.output, vars(args), [args.pairs])
    tokenizer = Tokenizer.from_file(str(Path(args.backbone) / "tokenizer.json"))
    pairs = read_pairs(args.pairs, tokenizer, args.per_source, args.max_tokens, args.seed)
    run.log(f"{len(pairs)} pairs")
    student = load_encoder(args.backbone).to(device())
    teacher = Teacher(args.teacher)
    metrics = align(student, teacher, pairs, args, run)
    student.save_pretrained(args.output)  # type: ignore[operator]  # nn.Module hides the HF class
    tokenizer.save(str(args.output / "tokenizer.json"))
    run.finish(metrics)
    Checkpoint(args.output / CHECKPOINT).clear()


def read_pairs(path: Path, tokenizer: Tokenizer, per_source: int, max_tokens: int, seed: int) -> list[Pair]:
    """Unrestricted pairs, at most ``per_source`` of each source, without over-long ones."""
    rows = pq.read_table(path).to_pylist()
    np.random.default_rng(seed).shuffle(rows)
    chunker = Chunker(
        WordPiece.parse(tokenizer.to_str(), "tokenizer"), TokenLimits(chunk=max_tokens, overlap=0, context=0)
    )
    taken: dict[str, int] = {}
    pairs: list[Pair] = []
    for row in rows:
        if row["licence_class"] == "restricted" or taken.get(row["source"], 0) >= per_source:
            continue
        # Either direction token must be neutral for the encoder: the pairs take them in turn.
        direction = Direction.PROMPT if len(pairs) % 2 else Direction.OUTPUT
        zh = chunker.chunks(normalize(row["zh"]).text, direction)
        en = chunker.chunks(normalize(row["en"]).text, direction)
        if len(zh) > 1 or len(en) > 1:
            continue
        taken[row["source"]] = taken.get(row["source"], 0) + 1
        pairs.append(Pair(zh[0].input_ids, en[0].input_ids, row["en"]))
    return pairs


class Teacher:
    """The English encoder's sentence vectors: mean over tokens, unit length."""

    def __init__(self, path: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(path)
        self._encoder = load_encoder(path).eval().to(device())

    @torch.no_grad()
    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [len(texts), hidden]."""
        encoded = self._tokenizer(list(texts), padding=True, truncation=True, max_length=64, return_tensors="pt")
        encoded = encoded.to(device())
        hidden = self._encoder(**encoded).last_hidden_state
        return mean_vector(hidden, encoded["attention_mask"])


def align(
    student: nn.Module, teacher: Teacher, pairs: list[Pair], args: argparse.Namespace, run: Run
) -> dict[str, float]:
    """Train the student; returns the last in-batch retrieval accuracy and the steps."""
    embeddings = list(student.get_input_embeddings().parameters())  # type: ignore[operator]
    known = {id(p) for p in embeddings}
    rest = [p for p in student.parameters() if id(p) not in known]
    groups = [{"params": rest, "lr": args.lr}, {"params": embeddings, "lr": args.lr * 10}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    plan = list(_plan(pairs, args))
    total = min(args.steps or len(plan), len(plan))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, total))
    checkpoint = Checkpoint(args.output / CHECKPOINT)
    step = _resume(checkpoint, student, optimizer, schedule)
    saved, accuracy = time.time(), 0.0
    student.train()
    while step < total:
        batch = [pairs[i] for i in plan[step]]
        target = teacher.vectors([p.text for p in batch])
        optimizer.zero_grad()
        loss, hits = _loss(student, [p.zh for p in batch], target)
        loss.backward()  # type: ignore[no-untyped-call]
        if step % 2:
            english, _ = _loss(student, [p.en for p in batch], target)
            english.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        accuracy += 0.05 * (hits - accuracy)
        if step % 50 == 0:
            run.log(f"step {step}/{total} loss {loss.item():.3f} retrieval {accuracy:.3f}")
        if time.time() - saved > 240:
            state = {"student": student.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save({**state, "schedule": schedule.state_dict(), "step": step})
            saved = time.time()
    return {"pairs": float(len(pairs)), "steps": float(step), "retrieval": round(accuracy, 4)}


def _plan(pairs: list[Pair], args: argparse.Namespace) -> Iterator[list[int]]:
    for epoch in range(args.epochs):
        yield from length_batches([len(p.zh) for p in pairs], args.batch, args.seed + epoch)


def _resume(
    checkpoint: Checkpoint,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> int:
    state = checkpoint.load()
    if state is None:
        return 0
    student.load_state_dict(state["student"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"])


def _loss(student: nn.Module, sides: Sequence[tuple[int, ...]], target: Tensor) -> tuple[Tensor, float]:
    ids, mask, types = collate([(s, (0,) * len(s)) for s in sides])
    with torch.autocast(target.device.type, dtype=torch.bfloat16):
        hidden = student(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    vectors = mean_vector(hidden, mask)
    similar = vectors @ target.T / _TEMPERATURE
    wanted = torch.arange(len(sides), device=target.device)
    distance = 1 - cosine_similarity(vectors, target)
    hits = (similar.argmax(dim=1) == wanted).float().mean().item()
    return cross_entropy(similar, wanted) + 2 * distance.mean(), hits


def mean_vector(hidden: Tensor, mask: Tensor) -> Tensor:
    """Sentence vectors [batch, hidden] of unit length: the mean over the tokens whose mask is 1."""
    weights = mask.unsqueeze(-1).float()
    return unit((hidden.float() * weights).sum(dim=1) / weights.sum(dim=1), dim=-1)


if __name__ == "__main__":
    main()
