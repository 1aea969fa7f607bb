"""Stage 3: fine-tune the classifier, one loss only where a row speaks.

    python -m training.train --backbone runs/NAME/align --data DIR --plain PARQUET --output runs/NAME/train

Reads the mixture (training/mixture.py), normalises and tokenises it exactly as serving does, and trains the
encoder and head with masked binary cross-entropy in bf16 on length-sorted batches. Writes a checkpoint every
few minutes and continues from it; the held-out rows' names go to ``mixture.json`` for the calibration.
``--backbone`` may be any Hugging Face directory or hub id of a BERT WordPiece encoder; a directory that this stage
wrote is trained further, with its head and its held-out rows.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import AutoTokenizer

from guard.classifier.artifact import TokenLimits
from guard.classifier.chunker import OUTPUT_TOKEN, PROMPT_TOKEN, Chunk, Chunker
from guard.classifier.wordpiece import WordPiece
from guard.normalize import normalize
from guard.types import CATEGORIES, NONCOMPLIANT, Direction
from training.batches import collate
from training.corpora import COMPLIANT, Row, directions_of, read_parquet_dir, targets_of
from training.mixture import Mixture, build
from training.network import GuardNetwork, load_encoder, load_network, save_network
from training.queries import normalized_context
from training.run import Checkpoint, Run, device, length_batches, seed_everything

#: A post labelled only for hate is very likely compliant otherwise: a weak zero keeps the overall column honest.
_WEAK_COMPLIANT = 0.3
_CHECKPOINT_SECONDS = 300.0
#: Weight of a category column beside the overall one.
_CATEGORY_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Example:
    """One training text: its possible token sequences, targets and loss weights [categories]."""

    chunks: tuple[Chunk, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...]


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    args = _arguments(argv)
    seed_everything(args.seed)
    run = Run.start(args.output, vars(args), [*args.data, *([args.plain] if args.plain else [])])
    rows = [row for path in args.data for row in read_parquet_dir(path)]
    earlier = Path(args.backbone) / "mixture.json"
    keep_out = set(json.loads(earlier.read_text(encoding="utf-8"))["heldout"]) if earlier.exists() else None
    mixture = build(rows, args.plain, seed=args.seed, leave_out=args.leave_out, keep_out=keep_out)
    _write_mixture(mixture, args.output)
    run.log(f"{len(mixture.train)} training rows, {len(mixture.heldout)} held out")
    tokenizer, encoder = load_backbone(args.backbone)
    limits = TokenLimits(chunk=args.max_tokens, overlap=16, context=args.context_tokens)
    chunker = Chunker(WordPiece.parse(tokenizer.to_str(), args.backbone), limits)
    examples = encode(mixture.train, chunker, args.seed)
    run.log("tokenised")
    if (Path(args.backbone) / "head.pt").exists():
        network = load_network(Path(args.backbone), len(CATEGORIES)).to(device())
    else:
        hidden = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        network = GuardNetwork(encoder, hidden, len(CATEGORIES)).to(device())
    loss = fit(network, examples, args, run)
    save_network(network, args.output)
    tokenizer.save(str(args.output / "tokenizer.json"))
    run.finish({"rows": len(mixture.train), "heldout": len(mixture.heldout), "loss": round(loss, 4)})
    Checkpoint(args.output / "checkpoint.pt").clear()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True, help="Hugging Face directory or hub id")
    parser.add_argument("--data", type=Path, action="append", required=True, help="directory of parquet corpora")
    parser.add_argument("--plain", type=Path, help="parquet of general paragraphs")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--leave-out", action="append", default=[], help="hold out this source as a whole")
    parser.add_argument("--max-tokens", type=int, default=96, help="text tokens of a training sequence")
    parser.add_argument("--context-tokens", type=int, default=48)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="stop early; 0: run to the end")
    parser.add_argument("--lr", type=float, default=7e-5, help="encoder; the head learns ten times as fast")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def load_backbone(path: str) -> tuple[Tokenizer, nn.Module]:
    """Tokenizer and encoder of a backbone, given the direction tokens where it lacks them.

    Raises:
        SystemExit: The tokenizer is not of the BERT kind ([CLS], [SEP], [PAD]).
    """
    encoder = load_encoder(path)
    file = Path(path) / "tokenizer.json"
    tokenizer = (
        Tokenizer.from_file(str(file)) if file.exists() else AutoTokenizer.from_pretrained(path).backend_tokenizer
    )
    absent = [token for token in ("[CLS]", "[SEP]", "[PAD]") if tokenizer.token_to_id(token) is None]
    if absent:
        raise SystemExit(f"{path}: the tokenizer has no {', '.join(absent)} (use a BERT-type encoder)")
    tokenizer.add_special_tokens([PROMPT_TOKEN, OUTPUT_TOKEN])
    if tokenizer.get_vocab_size() > encoder.get_input_embeddings().num_embeddings:  # type: ignore[operator]
        encoder.resize_token_embeddings(tokenizer.get_vocab_size())  # type: ignore[operator]
    return tokenizer, encoder


def encode(rows: list[Row], chunker: Chunker, seed: int) -> list[Example]:
    """Token sequences and targets; a repeated row is tokenised once per direction."""
    rng = np.random.default_rng(seed)
    cache: dict[tuple[str, str, Direction], Example] = {}
    out: list[Example] = []
    for row in rows:
        directions = directions_of(row, training=True)
        direction = directions[int(rng.integers(len(directions)))]
        key = (row.source, row.id, direction)
        if key not in cache:
            chunks = chunker.chunks(normalize(row.text).text, direction, normalized_context(row))
            values, weights = _targets(row)
            cache[key] = Example(tuple(chunks), values, weights)
        out.append(cache[key])
    return out


def _targets(row: Row) -> tuple[tuple[float, ...], tuple[float, ...]]:
    targets = targets_of(row)
    weights = [_CATEGORY_WEIGHT * speaks for speaks in targets.mask]
    overall = CATEGORIES.index(NONCOMPLIANT)
    if targets.mask[overall]:
        weights[overall] = 1.0
    elif row.label == COMPLIANT:
        weights[overall] = _WEAK_COMPLIANT
    return targets.values, tuple(weights)


def fit(network: GuardNetwork, examples: list[Example], args: argparse.Namespace, run: Run) -> float:
    """Train to the end of the plan, resuming from a checkpoint; returns the smoothed last loss."""
    optimizer = _optimizer(network, args.lr)
    lengths = [len(e.chunks[0].input_ids) for e in examples]
    plan = [b for epoch in range(args.epochs) for b in length_batches(lengths, args.batch, args.seed + epoch)]
    total = min(args.steps or len(plan), len(plan))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, total))
    checkpoint = Checkpoint(args.output / "checkpoint.pt")
    state = checkpoint.load()
    step, smooth = 0, 0.0
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        step, smooth = int(state["step"]), float(state["smooth"])
    saved = time.time()
    network.train()
    while step < total:
        loss = _loss(network, [examples[i] for i in plan[step]], args.seed + step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        smooth += (loss.item() - smooth) * max(0.01, 1 / step)
        if step % 100 == 0 or step == total:
            run.log(f"step {step}/{total} loss {smooth:.4f}")
        if time.time() - saved > _CHECKPOINT_SECONDS:
            saved = time.time()
            tensors = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save({**tensors, "schedule": schedule.state_dict(), "step": step, "smooth": smooth})
    return smooth


def rate(step: int, total: int) -> float:
    """Learning-rate factor: linear warm-up over 6 %, then linear to 2 %."""
    warmup = max(1, total * 6 // 100)
    return min((step + 1) / warmup, max(0.02, 1 - step / max(1, total)))


def _optimizer(network: GuardNetwork, lr: float) -> torch.optim.AdamW:
    inner = list(network.encoder.parameters())
    known = {id(p) for p in inner}
    head = [p for p in network.parameters() if id(p) not in known]
    groups = [{"params": inner, "lr": lr, "weight_decay": 0.01}, {"params": head, "lr": lr * 10, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, fused=True)


def _loss(network: GuardNetwork, batch: list[Example], seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    chunks = [e.chunks[_pick(e, rng)] for e in batch]
    ids, mask, types = collate([(c.input_ids, c.token_type_ids) for c in chunks])
    values = torch.tensor([e.values for e in batch], device=ids.device)
    weights = torch.tensor([e.weights for e in batch], device=ids.device)
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        logits = network(ids, mask, types)
    losses = binary_cross_entropy_with_logits(logits.float(), values, reduction="none")
    return (losses * weights).sum() / len(batch)


def _pick(example: Example, rng: np.random.Generator) -> int:
    """Which chunk of a long text to train on: harm stands at the head or the tail, harmlessness everywhere."""
    last = len(example.chunks) - 1
    if last == 0:
        return 0
    if example.values[CATEGORIES.index(NONCOMPLIANT)] > 0:
        return 0 if rng.random() < 0.5 else last
    return int(rng.integers(last + 1))


def _write_mixture(mixture: Mixture, output: Path) -> None:
    distinct = {(row.source, row.id): row for row in mixture.train}.values()
    positives = dict.fromkeys(CATEGORIES, 0)
    for row in distinct:
        for category, value in zip(CATEGORIES, targets_of(row).values, strict=True):
            positives[category] += int(value)
    document = {
        "rows_by_source": mixture.rows_by_source,
        "positives": positives,
        "heldout": sorted({r.id for r in mixture.heldout}),
    }
    (output / "mixture.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
