"""Stage 4: fine-tune the classifier, one loss only where a row speaks.

    python -m training.train --backbone runs/NAME/align --data DIR --plain PARQUET --output runs/NAME/train

Reads the mixture (training/mixture.py), normalises and tokenises it exactly as serving does, and trains the
encoder and head with masked binary cross-entropy in bf16 on length-sorted batches. Where the place of the harm is
known, and in compliant texts, the token scores are trained as well. Writes a checkpoint every few minutes and
continues from it; the held-out rows' names go to ``mixture.json`` for the calibration.
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

from guard.classifier.artifact import FILES, TokenLimits
from guard.classifier.chunker import FIRST_TOKEN, OUTPUT_TOKEN, PROMPT_TOKEN, Chunk, Chunker
from guard.classifier.wordpiece import WordPiece
from guard.normalize import normalize
from guard.types import CATEGORIES, NONCOMPLIANT, Direction
from training.batches import collate
from training.corpora import COMPLIANT, Row, directions_of, read_parquet_dir, targets_of
from training.corpora.row import LICENCE_CLASSES
from training.mixture import HELD_OUT_SOURCES, Mixture, build
from training.network import GuardNetwork, load_encoder, load_network, save_network
from training.queries import normalized_context
from training.run import CHECKPOINT, Checkpoint, Run, device, length_batches, rate, seed_everything

#: A post labelled only for hate is very likely compliant otherwise: a weak zero keeps the overall column honest.
_WEAK_COMPLIANT = 0.3
_CHECKPOINT_SECONDS = 300.0
#: Weight of a category column beside the overall one.
_CATEGORY_WEIGHT = 0.3
#: Weight of the tokens of a text with a planted harm, and of a compliant text, beside the text itself.
_TOKEN_WEIGHT = 1.0
_CLEAN_TOKEN_WEIGHT = 0.1
#: Weight of where the highest token of a text with a planted harm stands.
_POINTING_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """One training text.

    Attributes:
        chunks: Its possible token sequences.
        values: Targets [categories].
        weights: Loss weights [categories]; 0 where the row is silent.
        planted: Code points [start, end) of the normalised text where the harm stands; None: nobody knows.
    """

    chunks: tuple[Chunk, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...]
    planted: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Hide:
    """Hides tokens from a training step: a text that is seen again is not the same, so that it is not learnt by heart.

    Attributes:
        share: Of a text's own tokens, 0..1; its context and the special tokens stay.
        mask_id: The token that stands for a hidden one.
    """

    share: float
    mask_id: int

    def some_of(self, chunk: Chunk, rng: np.random.Generator) -> tuple[int, ...]:
        """The chunk's tokens with a random part of the text hidden."""
        if self.share == 0:
            return chunk.input_ids
        ids = np.array(chunk.input_ids)
        own = ids[FIRST_TOKEN : FIRST_TOKEN + chunk.text_tokens]
        own[rng.random(len(own)) < self.share] = self.mask_id
        return tuple(ids.tolist())


_NOTHING = Hide(0.0, 0)


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    args = _arguments(argv)
    seed_everything(args.seed)
    run = Run.start(args.output, vars(args), [*args.data, *([args.plain] if args.plain else [])])
    licence = {"licence": LICENCE_CLASSES} if args.restricted else {}
    rows = [row for path in args.data for row in read_parquet_dir(path, **licence)]
    file = Path(args.backbone) / "mixture.json"
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    leave_out = [*HELD_OUT_SOURCES, *args.leave_out]
    repeat = dict(args.repeat)
    if unknown := repeat.keys() - {row.source for row in rows}:
        raise SystemExit(
            f"--repeat: no row of the source {', '.join(sorted(unknown))} is read (give one of "
            f"{', '.join(sorted({row.source for row in rows}))}; rows whose licence is restricted need --restricted)"
        )
    mixture = build(
        rows,
        args.plain,
        seed=args.seed,
        leave_out=leave_out,
        keep_out=None if earlier is None else set(earlier["heldout"]),
        learnt=None if earlier is None else set(earlier["rows_by_source"]),
        size=args.rows,
        repeat=repeat,
    )
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
    loss = fit(network, examples, args, run, Hide(args.mask, tokenizer.token_to_id("[MASK]") or 0))
    save_network(network, args.output)
    tokenizer.save(str(args.output / "tokenizer.json"))
    run.finish({"rows": len(mixture.train), "heldout": len(mixture.heldout), "loss": round(loss, 4)})
    Checkpoint(args.output / CHECKPOINT).clear()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True, help="Hugging Face directory or hub id")
    parser.add_argument("--data", type=Path, action="append", required=True, help="directory of parquet corpora")
    parser.add_argument("--plain", type=Path, help="parquet of general paragraphs")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--leave-out", action="append", default=[], help="hold out this source as a whole")
    parser.add_argument(
        "--repeat", action="append", default=[], type=_times, help="SOURCE=TIMES: each of its rows so often"
    )
    parser.add_argument("--rows", type=int, default=0, help="a random part of the mixture: a proxy; 0: all of it")
    parser.add_argument("--restricted", action="store_true", help="restricted rows too: never for weights to give away")
    parser.add_argument("--max-tokens", type=int, default=128, help="text tokens of a training sequence")
    parser.add_argument("--context-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64, help="texts of a batch, at most")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="tokens of a batch, padding included, at most")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="stop early; 0: run to the end")
    parser.add_argument("--lr", type=float, default=1e-4, help="encoder; the head learns ten times as fast")
    parser.add_argument("--mask", type=float, default=0.0, help="share of a text's tokens that a step hides")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def _times(value: str) -> tuple[str, int]:
    """A source and how often its rows are repeated, from the command line."""
    source, _, times = value.partition("=")
    if not source or not times.isdecimal() or int(times) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not SOURCE=TIMES with a whole number from 1")
    return source, int(times)


def load_backbone(path: str) -> tuple[Tokenizer, nn.Module]:
    """Tokenizer and encoder of a backbone, given the direction tokens where it lacks them.

    Raises:
        SystemExit: The tokenizer is not of the BERT kind ([CLS], [SEP], [PAD], [MASK]), or it is an artifact.
    """
    if (Path(path) / FILES.description).exists():
        raise SystemExit(f"{path}: an artifact, no network (make it one: python -m training.unpack)")
    encoder = load_encoder(path)
    file = Path(path) / "tokenizer.json"
    tokenizer = (
        Tokenizer.from_file(str(file)) if file.exists() else AutoTokenizer.from_pretrained(path).backend_tokenizer
    )
    absent = [token for token in ("[CLS]", "[SEP]", "[PAD]", "[MASK]") if tokenizer.token_to_id(token) is None]
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
            normalized = normalize(row.text)
            chunks = chunker.chunks(normalized.text, direction, normalized_context(row))
            values, weights = _targets(row)
            cache[key] = Example(tuple(chunks), values, weights, planted_in(row, normalized.text))
        out.append(cache[key])
    return out


def planted_in(row: Row, text: str) -> tuple[int, int] | None:
    """Where the harm of a row stands in its normalised text; None if nobody knows, (0, 0) where there is none."""
    if row.label == COMPLIANT:
        return (0, 0) if row.about_all else None
    if not row.planted:
        return None
    start, end = row.planted[0]
    head = len(normalize(row.text[:start]).text)
    plant = normalize(row.text[start:end]).text
    # Composition across the border may move a character; then the place is not known exactly.
    return (head, head + len(plant)) if text[head : head + len(plant)] == plant else None


def _targets(row: Row) -> tuple[tuple[float, ...], tuple[float, ...]]:
    targets = targets_of(row)
    weights = [_CATEGORY_WEIGHT * speaks for speaks in targets.mask]
    overall = CATEGORIES.index(NONCOMPLIANT)
    if targets.mask[overall]:
        weights[overall] = 1.0
    elif row.label == COMPLIANT:
        weights[overall] = _WEAK_COMPLIANT
    return targets.values, tuple(weights)


def fit(
    network: GuardNetwork, examples: list[Example], args: argparse.Namespace, run: Run, hide: Hide = _NOTHING
) -> float:
    """Train to the end of the plan, resuming from a checkpoint; returns the smoothed last loss."""
    optimizer = _optimizer(network, args.lr)
    lengths = [len(e.chunks[0].input_ids) for e in examples]
    plan = [b for epoch in range(args.epochs) for b in _batches(lengths, args, epoch)]
    total = min(args.steps or len(plan), len(plan))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, total))
    checkpoint = Checkpoint(args.output / CHECKPOINT)
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
        loss = _loss(network, [examples[i] for i in plan[step]], hide, args.seed + step)
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


def _batches(lengths: list[int], args: argparse.Namespace, epoch: int) -> list[list[int]]:
    return length_batches(lengths, args.batch, args.seed + epoch, max_tokens=args.batch_tokens)


def _optimizer(network: GuardNetwork, lr: float) -> torch.optim.AdamW:
    inner = list(network.encoder.parameters())
    known = {id(p) for p in inner}
    head = [p for p in network.parameters() if id(p) not in known]
    groups = [{"params": inner, "lr": lr, "weight_decay": 0.01}, {"params": head, "lr": lr * 10, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, fused=True)


def _loss(network: GuardNetwork, batch: list[Example], hide: Hide, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    chunks = [e.chunks[_pick(e, rng)] for e in batch]
    ids, mask, types = collate([(hide.some_of(c, rng), c.token_type_ids) for c in chunks])
    values = torch.tensor([e.values for e in batch], device=ids.device)
    weights = torch.tensor([e.weights for e in batch], device=ids.device)
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        logits, tokens = network(ids, mask, types)
    losses = binary_cross_entropy_with_logits(logits.float(), values, reduction="none")
    inside, known = (t.to(ids.device) for t in token_targets(batch, chunks, ids.shape[1]))
    wanted = inside.unsqueeze(-1) * values.unsqueeze(1)
    by_token = binary_cross_entropy_with_logits(tokens.float(), wanted, reduction="none")
    token_loss = (by_token * known.unsqueeze(-1) * weights.unsqueeze(1)).sum()
    pointing = pointing_loss(tokens[:, :, CATEGORIES.index(NONCOMPLIANT)].float(), inside, known)
    return ((losses * weights).sum() + token_loss + _POINTING_WEIGHT * pointing) / len(batch)


def pointing_loss(logits: Tensor, inside: Tensor, known: Tensor) -> Tensor:
    """How surprised one is that the highest token of a text with a planted harm stands in it (nats, summed over texts).

    The loss of each token for itself asks for the right mean; what shows a reader the place is the highest token, and
    one sharp word of a harmless sentence is enough to send him elsewhere.

    Args:
        logits: Of ``noncompliant`` [batch, tokens].
        inside: 1 for the tokens of the plant [batch, tokens]; texts without any do not count.
        known: Above 0 for the text's own tokens where the place is known [batch, tokens].

    Returns:
        One number, 0 at the least: minus the log of the share that the plant's tokens have in the softmax of each text.
    """
    planted = inside.sum(dim=1) > 0
    out_of_text = torch.finfo(logits.dtype).min
    of_all = torch.logsumexp(logits.masked_fill(known == 0, out_of_text), dim=1)
    of_plant = torch.logsumexp(logits.masked_fill(inside == 0, out_of_text), dim=1)
    return (of_all - of_plant)[planted].sum()


def token_targets(batch: list[Example], chunks: list[Chunk], length: int) -> tuple[Tensor, Tensor]:
    """Which tokens are part of a planted harm, and how much each token's loss weighs; both [batch, length].

    The weights of a text sum to one constant whatever its length, and are 0 where the place is not known.
    """
    inside = np.zeros((len(batch), length), np.float32)
    known = np.zeros((len(batch), length), np.float32)
    for row, (example, chunk) in enumerate(zip(batch, chunks, strict=True)):
        if example.planted is None or not chunk.offsets:
            continue
        start, end = example.planted
        weight = _TOKEN_WEIGHT if end else _CLEAN_TOKEN_WEIGHT
        own = slice(FIRST_TOKEN, FIRST_TOKEN + chunk.text_tokens)
        known[row, own] = weight / chunk.text_tokens
        inside[row, own] = [start <= left and right <= end for left, right in chunk.offsets]
    return torch.from_numpy(inside), torch.from_numpy(known)


def _pick(example: Example, rng: np.random.Generator) -> int:
    """Which chunk of a long text to train on: harm stands at the head or the tail, harmlessness everywhere."""
    last = len(example.chunks) - 1
    if last == 0:
        return 0
    if example.planted and example.planted[1]:
        start, end = example.planted
        return max(range(last + 1), key=lambda i: min(end, example.chunks[i].end) - max(start, example.chunks[i].start))
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
