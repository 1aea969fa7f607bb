"""What int8 costs: the same texts through the trained network in float32 and through the artifact's graph.

Usage:
    python -m training.quantisation --model runs/NAME/train --artifact runs/NAME/artifact --data DIR \
        --output runs/NAME/quantisation [--policy policies/default.yaml] [--limit-per-source N]

Chunks, pooling, calibration and policy are the artifact's on both sides, so that nothing but the weights' and
activations' precision differs. Texts are ranked as in the benchmark's table.
Output: ``quantisation.json``, ``quantisation.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from guard import metrics
from guard.classifier.artifact import FILES, Artifact
from guard.classifier.calibration import calibrate
from guard.classifier.chunker import Chunk, Chunker
from guard.classifier.classifier import Classifier, Query, Scored
from guard.errors import GuardError
from guard.policy.evaluate import evaluate
from guard.policy.load import load_policy, resolve_policy
from guard.policy.policy import Policy
from guard.types import CATEGORIES, NONCOMPLIANT, Action
from training.batches import collate
from training.bench.columns import rank_score
from training.corpora.parquet import read_parquet_dir
from training.corpora.row import LICENCE_CLASSES, Row, directions_of
from training.corpora.splits import sample
from training.network import load_network
from training.queries import query_of
from training.run import device

#: What int8 may cost at most: points of AUPRC on any family, and share of decisions that differ.
MAX_LOSS, MIN_AGREEMENT = 0.5, 0.99
# Chunks of one forward pass in float, where padding moves no score.
_BATCH = 32
# Texts between two lines of progress; also bounds what is held at once.
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Pair:
    """One text scored twice.

    Attributes:
        side: prompt, response or content.
        lang: Language.
        noncompliant: Its label.
        float_rank: What it is ranked by, from float32 weights.
        int8_rank: The same from the artifact.
        float_action: What the policy decides on the float scores.
        int8_action: What it decides on the artifact's.
    """

    side: str
    lang: str
    noncompliant: bool
    float_rank: float
    int8_rank: float
    float_action: Action
    int8_action: Action


@dataclass(frozen=True, slots=True)
class Cost:
    """What int8 costs on one family; ``*`` for side and language stands for all texts.

    Attributes:
        side: prompt, response or content.
        lang: Language.
        texts: Number of texts.
        positives: How many of them are noncompliant.
        float_auprc: None where there is one class only.
        int8_auprc: The same of the artifact.
        loss: Points of AUPRC (0..100) that int8 loses; negative where it gains.
        agreement: Share of texts on which the policy decides the same.
        mean_difference: Mean distance of the two ranks.
    """

    side: str
    lang: str
    texts: int
    positives: int
    float_auprc: float | None
    int8_auprc: float | None
    loss: float | None
    agreement: float
    mean_difference: float


def costs(pairs: Sequence[Pair]) -> list[Cost]:
    """The cost per family, all texts first; empty without texts."""
    if not pairs:
        return []
    families = sorted({(pair.side, pair.lang) for pair in pairs})
    return [_cost("*", "*", pairs)] + [
        _cost(side, lang, [pair for pair in pairs if (pair.side, pair.lang) == (side, lang)]) for side, lang in families
    ]


def _cost(side: str, lang: str, pairs: Sequence[Pair]) -> Cost:
    labels = np.array([pair.noncompliant for pair in pairs])
    exact = np.array([pair.float_rank for pair in pairs])
    rounded = np.array([pair.int8_rank for pair in pairs])
    before = after = None
    if 0 < labels.sum() < len(labels):
        before, after = metrics.auprc(labels, exact), metrics.auprc(labels, rounded)
    return Cost(
        side=side,
        lang=lang,
        texts=len(pairs),
        positives=int(labels.sum()),
        float_auprc=before,
        int8_auprc=after,
        loss=None if before is None or after is None else 100 * (before - after),
        agreement=sum(pair.float_action is pair.int8_action for pair in pairs) / len(pairs),
        mean_difference=float(np.abs(exact - rounded).mean()),
    )


def lossless(found: Iterable[Cost]) -> bool:
    """Whether no family loses more AUPRC, and no more decisions of all texts differ, than is allowed."""
    return all(
        (cost.side == "*" or cost.loss is None or cost.loss <= MAX_LOSS)
        and (cost.side != "*" or cost.agreement >= MIN_AGREEMENT)
        for cost in found
    )


@dataclass(frozen=True, slots=True)
class FloatScorer:
    """The artifact's scoring with the trained network in place of its graph.

    Attributes:
        network: A :class:`~training.network.GuardNetwork` in evaluation mode.
        chunker: The artifact's.
        artifact: Whose calibration is used.
    """

    network: nn.Module
    chunker: Chunker
    artifact: Artifact

    @classmethod
    def load(cls, model: Path, artifact: Artifact) -> FloatScorer:
        """Load the directory that training.train wrote.

        Raises:
            ValueError: The directory's tokenizer is not the artifact's: the two are of different runs.
        """
        tokenizer = artifact.path(FILES.tokenizer)
        if (model / FILES.tokenizer).read_bytes() != tokenizer.read_bytes():
            raise ValueError(f"{model}: another tokenizer than {tokenizer} (give the directory that was exported)")
        network = load_network(model, len(CATEGORIES)).eval().to(device())
        return cls(network, Chunker.from_file(tokenizer, artifact.limits), artifact)

    def score(self, queries: Sequence[Query]) -> list[dict[str, float]]:
        """Calibrated scores of texts, in order."""
        pieces = [self.chunker.chunks(query.text, query.direction, query.context) for query in queries]
        raw = iter(self._run([chunk for chunks in pieces for chunk in chunks]))
        out: list[dict[str, float]] = []
        for query, chunks in zip(queries, pieces, strict=True):
            pooled = np.stack([next(raw) for _ in chunks])
            out.append(calibrate(pooled, self.artifact.categories, self.artifact.calibration[query.direction]))
        return out

    @torch.no_grad()
    def _run(self, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        """Raw scores [chunks, categories]; batches are of like lengths."""
        order = sorted(range(len(chunks)), key=lambda index: len(chunks[index].input_ids))
        scores = np.zeros((len(chunks), len(CATEGORIES)), np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            inputs = collate([(chunks[index].input_ids, chunks[index].token_type_ids) for index in batch])
            logits, _ = self.network(*inputs)
            scores[batch] = torch.sigmoid(logits).float().cpu().numpy()
        return scores


def score_twice(rows: Sequence[Row], exact: FloatScorer, classifier: Classifier, policy: Policy) -> Iterator[Pair]:
    """Score rows both ways; a text over the model's limit is left out."""
    queries = [query_of(row, directions_of(row, training=False)[0]) for row in rows]
    rounded = classifier.score_batch(queries)
    kept = [i for i, result in enumerate(rounded) if isinstance(result, Scored)]
    for i, scores in zip(kept, exact.score([queries[i] for i in kept]), strict=True):
        row, other = rows[i], rounded[i]
        assert isinstance(other, Scored)  # what was kept
        yield Pair(
            side=row.side,
            lang=row.lang,
            noncompliant=row.label == NONCOMPLIANT,
            float_rank=rank_score(scores, row.about),
            int8_rank=rank_score(other.scores, row.about),
            float_action=evaluate(policy, queries[i].direction, scores, ()).action,
            int8_action=evaluate(policy, queries[i].direction, other.scores, ()).action,
        )


def to_markdown(document: dict[str, Any]) -> str:
    """The document of :func:`main` for people."""
    head = (
        "side",
        "lang",
        "n",
        "pos",
        "AUPRC fp32",
        "AUPRC int8",
        "loss, points",
        "equal decisions",
        "mean difference",
    )
    lines = [
        f"- model: {document['model']}",
        f"- policy: {document['policy']}",
        f"- at most {MAX_LOSS} points lost on every family and {MIN_AGREEMENT:.0%} equal decisions: "
        + ("yes" if document["lossless"] else "no"),
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for cost in document["families"]:
        ranked = [
            "" if cost[name] is None else f"{cost[name]:.{digits}f}"
            for name, digits in (("float_auprc", 4), ("int8_auprc", 4), ("loss", 2))
        ]
        cells = (cost["side"], cost["lang"], cost["texts"], cost["positives"], *ranked)
        lines.append(f"| {' | '.join(map(str, cells))} | {cost['agreement']:.4f} | {cost['mean_difference']:.4f} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, whatever int8 costs, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="directory written by training.train")
    parser.add_argument("--artifact", type=Path, required=True, help="calibrated artifact of that model")
    parser.add_argument("--data", type=Path, required=True, help="directory of labelled Parquet files")
    parser.add_argument("--policy", default="default", help="name of a shipped policy, or a file")
    parser.add_argument("--sources", nargs="*", help="only these sources")
    parser.add_argument("--limit-per-source", type=int, help="at most so many texts a source, side and language")
    parser.add_argument("--output", type=Path, required=True, help="directory for the two files")
    args = parser.parse_args(argv)
    try:
        classifier = Classifier.load(args.artifact)
        policy = load_policy(resolve_policy(args.policy))
        exact = FloatScorer.load(args.model, classifier.artifact)
        rows = sample(read_parquet_dir(args.data, sources=args.sources, licence=LICENCE_CLASSES), args.limit_per_source)
        rows.sort(key=lambda row: len(row.text))
        pairs: list[Pair] = []
        for start in range(0, len(rows), _BLOCK):
            pairs += score_twice(rows[start : start + _BLOCK], exact, classifier, policy)
            print(f"{len(pairs)}/{len(rows)} texts", file=sys.stderr, flush=True)
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    found = costs(pairs)
    document = {
        "model": classifier.artifact.identity,
        "policy": policy.identity,
        "limit_per_source": args.limit_per_source,
        "lossless": lossless(found),
        "families": [asdict(cost) for cost in found],
    }
    args.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (args.output / "quantisation.json").write_text(text + "\n", encoding="utf-8")
    markdown = to_markdown(document)
    (args.output / "quantisation.md").write_text(markdown, encoding="utf-8")
    print(markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
