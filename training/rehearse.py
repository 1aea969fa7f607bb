"""Stage 3: masked-language-model rehearsal on general paragraphs of both languages.

    python -m training.rehearse --backbone runs/NAME/align --plain PARQUET --output runs/NAME/rehearse

Alignment teaches what sentences mean, not how a language runs on. Here some tokens of a paragraph are hidden and
guessed (Devlin et al. 2019: 15 %, of which 80 % masked, 10 % random, 10 % kept) with the embedding table as the
output layer, so that every new embedding is trained as an answer as well. Only hidden places go through
the large output layer. The vectors of the alignment are kept near: a term draws the sentence vector of the whole
paragraph to what it was before. Unrestricted paragraphs only, sampled by source; resumes from its checkpoint.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu

from guard.classifier.artifact import TokenLimits
from guard.classifier.chunker import Chunker
from guard.classifier.wordpiece import WordPiece
from guard.normalize import normalize
from guard.types import Direction
from training.batches import collate
from training.network import load_encoder
from training.pretrain import mean_vector
from training.run import CHECKPOINT, Checkpoint, Run, device, length_batches, rate, seed_everything

_HIDDEN = 0.15
_CHECKPOINT_SECONDS = 240.0
#: Weight of keeping the sentence vectors beside the masked tokens' cross-entropy.
_KEEP = 5.0


class MaskedTokens(nn.Module):
    """Encoder with BERT's masked-token layer; the output weights are the embedding table's.

    The layer begins as the identity and the bias as the tokens' own frequencies, so that the few steps there are
    go into what depends on the context.
    """

    def __init__(self, encoder: nn.Module, hidden: int, frequencies: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.dense = nn.Linear(hidden, hidden)
        nn.init.eye_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(hidden)
        self.scale = nn.Parameter(torch.tensor(0.1))
        self.bias = nn.Parameter(torch.log(frequencies + 0.1) - torch.log((frequencies + 0.1).sum()))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, places: Tensor) -> Tensor:
        """Logits [hidden places, vocabulary].

        Args:
            input_ids: int64 [batch, tokens].
            attention_mask: int64 [batch, tokens].
            places: bool [batch, tokens], True where a token is to be guessed.
        """
        vectors = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        guessed = self.norm(gelu(self.dense(vectors[places])))
        table = self.encoder.get_input_embeddings().weight  # type: ignore[operator]  # nn.Module hides the HF class
        logits: Tensor = self.scale * guessed @ table.T.to(guessed.dtype) + self.bias
        return logits


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", required=True, help="directory written by training.pretrain or training.vocab")
    parser.add_argument("--plain", type=Path, required=True, help="parquet with text, lang, source, licence_class")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-source", type=int, default=4000, help="paragraphs of one source at most")
    parser.add_argument("--max-tokens", type=int, default=64, help="a longer paragraph is cut")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=0, help="stop early; 0: run to the end")
    parser.add_argument(
        "--lr", type=float, default=1e-4, help="encoder; embeddings learn five, the output layer ten times as fast"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    seed_everything(args.seed)
    run = Run.start(args.output, vars(args), [args.plain])
    tokenizer = Tokenizer.from_file(str(Path(args.backbone) / "tokenizer.json"))
    texts = read_paragraphs(args.plain, args.per_source, args.seed)
    limits = TokenLimits(chunk=args.max_tokens, overlap=0, context=0)
    chunker = Chunker(WordPiece.parse(tokenizer.to_str(), args.backbone), limits)
    directions = (Direction.PROMPT, Direction.OUTPUT)
    rows = [
        chunker.chunks(normalize(text).text, directions[number % 2])[0].input_ids for number, text in enumerate(texts)
    ]
    run.log(f"{len(rows)} paragraphs")
    encoder = load_encoder(args.backbone).to(device())
    metrics = rehearse(encoder, rows, tokenizer, args, run)
    encoder.save_pretrained(args.output)  # type: ignore[operator]  # nn.Module hides the HF class
    tokenizer.save(str(args.output / "tokenizer.json"))
    run.finish(metrics)
    Checkpoint(args.output / CHECKPOINT).clear()


def read_paragraphs(path: Path, per_source: int, seed: int) -> list[str]:
    """Unrestricted paragraphs, at most ``per_source`` of each source."""
    table = pq.read_table(path, filters=[("licence_class", "!=", "restricted")])
    order = np.random.default_rng(seed).permutation(table.num_rows)
    sources = table.column("source").to_pylist()
    taken: dict[str, int] = {}
    chosen: list[int] = []
    for index in order.tolist():
        if taken.get(sources[index], 0) < per_source:
            taken[sources[index]] = taken.get(sources[index], 0) + 1
            chosen.append(index)
    texts: list[str] = table.column("text").take(chosen).to_pylist()
    return texts


def hide(ids: Tensor, ordinary: Tensor, mask_id: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choose the tokens to guess and disguise them.

    Args:
        ids: int64 [batch, tokens].
        ordinary: bool [batch, tokens], False for special tokens and padding.
        mask_id: Id of ``[MASK]``.
        size: Entries of the vocabulary.
        generator: Decides.

    Returns:
        The ids to read, and the places to guess, both [batch, tokens].
    """
    places = (torch.rand(ids.shape, generator=generator) < _HIDDEN).to(ids.device) & ordinary
    kind = torch.rand(ids.shape, generator=generator).to(ids.device)
    other = torch.randint(5, size, ids.shape, generator=generator).to(ids.device)
    read = torch.where(places & (kind < 0.8), mask_id, ids)
    return torch.where(places & (kind >= 0.9), other, read), places


def rehearse(
    encoder: nn.Module, rows: list[tuple[int, ...]], tokenizer: Tokenizer, args: argparse.Namespace, run: Run
) -> dict[str, float]:
    """Train; returns the smoothed last cross-entropy (nats a hidden token), its accuracy, and the steps."""
    tokens = torch.tensor([token for row in rows for token in row])
    frequencies = torch.bincount(tokens, minlength=tokenizer.get_vocab_size()).float()
    hidden = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
    model = MaskedTokens(encoder, hidden, frequencies).to(device())
    before = load_encoder(args.backbone).eval().to(device())
    embeddings = list(encoder.get_input_embeddings().parameters())  # type: ignore[operator]
    known = {id(p) for p in embeddings}
    inner = [p for p in encoder.parameters() if id(p) not in known]
    known |= {id(p) for p in inner}
    head = [p for p in model.parameters() if id(p) not in known]
    groups = [
        {"params": inner, "lr": args.lr},
        {"params": embeddings, "lr": args.lr * 5},
        {"params": head, "lr": args.lr * 10},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    plan = length_batches([len(row) for row in rows], args.batch, args.seed)
    total = min(args.steps or len(plan), len(plan))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, total))
    vocabulary = tokenizer.get_vocab()
    mask_id = vocabulary["[MASK]"]
    special = [index for token, index in vocabulary.items() if len(token) > 1 and token[0] == "[" and token[-1] == "]"]
    strange = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.bool)
    strange[special] = True
    strange = strange.to(device())
    checkpoint = Checkpoint(args.output / CHECKPOINT)
    state = checkpoint.load()
    step, smooth, right = 0, 0.0, 0.0
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        step, smooth, right = int(state["step"]), float(state["smooth"]), float(state["right"])
    saved = time.time()
    model.train()
    while step < total:
        ids, mask, types = collate([(rows[i], (0,) * len(rows[i])) for i in plan[step]])
        # A generator of the step's own: a resumed run hides the same tokens.
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        read, places = hide(ids, ~strange[ids] & mask.bool(), mask_id, len(strange), generator)
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            logits = model(read, mask, places)
        hidden_tokens = max(1, int(places.sum()))  # a batch of one short paragraph may hide none
        loss = cross_entropy(logits.float(), ids[places], reduction="sum") / hidden_tokens
        guessed = loss.item()
        if step % 4 == 0:
            loss = loss + _KEEP * _drift(encoder, before, ids[:32], mask[:32], types[:32])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        share = max(0.02, 1 / step)
        smooth += (guessed - smooth) * share
        right += (float((logits.argmax(dim=1) == ids[places]).sum()) / hidden_tokens - right) * share
        if step % 50 == 0 or step == total:
            run.log(f"step {step}/{total} cross-entropy {smooth:.3f} right {right:.3f}")
        if time.time() - saved > _CHECKPOINT_SECONDS:
            saved = time.time()
            tensors = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            more = {"schedule": schedule.state_dict(), "step": step, "smooth": smooth, "right": right}
            checkpoint.save({**tensors, **more})
    return {
        "paragraphs": float(len(rows)),
        "steps": float(step),
        "cross_entropy": round(smooth, 4),
        "right": round(right, 4),
    }


def _drift(encoder: nn.Module, before: nn.Module, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
    """One minus the mean cosine between the sentence vectors now and before this stage."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        now = encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        with torch.no_grad():
            then = before(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    return 1 - (mean_vector(now, mask) * mean_vector(then, mask)).sum(dim=1).mean()


if __name__ == "__main__":
    main()
