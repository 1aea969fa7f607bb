"""How well the token scores say WHERE a text is noncompliant, on texts whose place of harm is known.

Usage:
    python -m training.localisation --model runs/NAME/train --artifact runs/NAME/artifact --data DIR [--bench DIR] \
        --output runs/NAME/localisation [--count N]

A composite is a harmless paragraph of four to eight sentences with one noncompliant sentence planted at a random
border. Paragraphs and plants are rows that were held out of the training (``mixture.json``); ``--bench`` adds
paragraphs of the benchmarks. Paragraphs come from sources without any violation. Posts and requests are planted
in prompts, posts and answers in outputs; a planted answer brings the request that it answers.

Measured per text: the AUROC of the token scores against the planted tokens, whether the highest token lies in the
plant (pointing game, Zhang et al. 2018), and whether the sentence with the highest mean is the plant.
Output: ``localisation.json``, ``localisation.md``; no texts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from guard.classifier.classifier import Classifier, Query
from guard.errors import GuardError
from guard.metrics import auroc
from guard.types import NONCOMPLIANT, Direction
from training.composites import PLANT, Composite, composites, harmless_paragraphs
from training.corpora.parquet import read_parquet_dir
from training.corpora.row import LICENCE_CLASSES

#: [start, end) in the normalised text, and the token's ``noncompliant`` score.
TokenScore: TypeAlias = tuple[int, int, float]
#: Scores the tokens of a query, in order.
ScoreTokens: TypeAlias = Callable[[Query], Sequence[TokenScore]]

#: What is to be reached: the mean token AUROC, and the share of texts whose highest token lies in the plant.
MIN_AUROC, MIN_POINTING = 0.9, 0.85


@dataclass(frozen=True, slots=True)
class Located:
    """How well one composite's plant was found.

    Attributes:
        lang: Language.
        direction: prompt or output.
        auroc: Of token scores against planted tokens.
        pointed: Whether the highest token lies in the plant.
        sentence: Whether the sentence with the highest mean score is the plant.
        tokens: Share of the tokens that is planted: what pointing blindly gives.
        sentences: Number of sentences.
    """

    lang: str
    direction: str
    auroc: float
    pointed: bool
    sentence: bool
    tokens: float
    sentences: int


def locate(composite: Composite, scored: Sequence[TokenScore]) -> Located | None:
    """Compare token scores with the plant; None if there is no token in it or none beside it."""
    inside = np.array([start < composite.end and end > composite.start for start, end, _ in scored], bool)
    if not inside.any() or inside.all():
        return None
    scores = np.array([score for _, _, score in scored], float)
    means = [_mean(scored, start, end) for start, end in composite.sentences]
    return Located(
        lang=composite.lang,
        direction=composite.query.direction.value,
        auroc=auroc(inside, scores),
        pointed=bool(inside[int(np.argmax(scores))]),
        sentence=composite.sentences[int(np.argmax(means))] == (composite.start, composite.end),
        tokens=float(inside.mean()),
        sentences=len(composite.sentences),
    )


def _mean(scored: Sequence[TokenScore], start: int, end: int) -> float:
    values = [score for first, last, score in scored if first < end and last > start]
    return sum(values) / len(values) if values else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over composites; ``*`` stands for all languages and directions.

    Attributes:
        lang: Language.
        direction: prompt or output.
        texts: Number of composites.
        token_auroc: Mean over texts.
        pointing: Share of texts whose highest token lies in the plant.
        sentence: Share of texts whose highest sentence is the plant.
        blind_pointing: What a random token would reach.
        blind_sentence: What a random sentence would reach.
    """

    lang: str
    direction: str
    texts: int
    token_auroc: float
    pointing: float
    sentence: float
    blind_pointing: float
    blind_sentence: float

    @property
    def reached(self) -> bool:
        """Whether both borders are."""
        return self.token_auroc >= MIN_AUROC and self.pointing >= MIN_POINTING


def summarise(found: Sequence[Located]) -> list[Summary]:
    """All texts first, then per language and direction; empty without texts."""
    if not found:
        return []
    groups = sorted({(x.lang, x.direction) for x in found})
    return [_summary("*", "*", found)] + [
        _summary(lang, direction, [x for x in found if (x.lang, x.direction) == (lang, direction)])
        for lang, direction in groups
    ]


def _summary(lang: str, direction: str, found: Sequence[Located]) -> Summary:
    return Summary(
        lang,
        direction,
        len(found),
        token_auroc=float(np.mean([x.auroc for x in found])),
        pointing=float(np.mean([x.pointed for x in found])),
        sentence=float(np.mean([x.sentence for x in found])),
        blind_pointing=float(np.mean([x.tokens for x in found])),
        blind_sentence=float(np.mean([1 / x.sentences for x in found])),
    )


def evaluate(texts: Iterable[Composite], score_tokens: ScoreTokens) -> list[Summary]:
    """Score the tokens of composites and sum up."""
    located = (locate(composite, score_tokens(composite.query)) for composite in texts)
    return summarise([x for x in located if x is not None])


def token_scorer(classifier: Classifier) -> ScoreTokens:
    """The classifier's own token scores of ``noncompliant``, uncalibrated."""
    column = classifier.artifact.categories.index(NONCOMPLIANT)

    def score(query: Query) -> list[TokenScore]:
        tokens = classifier.score(query).token_scores
        return [
            (start, end, float(row[column])) for (start, end), row in zip(tokens.offsets, tokens.scores, strict=True)
        ]

    return score


def to_markdown(document: dict[str, Any]) -> str:
    """The document of :func:`main` for people."""
    head = ("lang", "direction", "n", "token AUROC", "pointing", "sentence", "pointing, blind", "sentence, blind")
    lines = [
        f"- model: {document['model']}",
        f"- token AUROC >= {MIN_AUROC} and pointing >= {MIN_POINTING}: {'yes' if document['reached'] else 'no'}",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for s in document["groups"]:
        names = ("token_auroc", "pointing", "sentence", "blind_pointing", "blind_sentence")
        rates = " | ".join(f"{s[name]:.3f}" for name in names)
        lines.append(f"| {s['lang']} | {s['direction']} | {s['texts']} | {rates} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, whatever is reached, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="directory written by training.train")
    parser.add_argument("--artifact", type=Path, required=True, help="artifact with token scores")
    parser.add_argument("--data", type=Path, action="append", required=True, help="the training's corpora")
    parser.add_argument("--bench", type=Path, help="benchmarks, for more paragraphs")
    parser.add_argument("--count", type=int, default=700, help="composites of a language and direction")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="directory for the two files")
    args = parser.parse_args(argv)
    try:
        heldout = set(json.loads((args.model / "mixture.json").read_text(encoding="utf-8"))["heldout"])
        rows = [row for path in args.data for row in read_parquet_dir(path)]
        paragraphs = harmless_paragraphs(rows, heldout)
        if args.bench:
            paragraphs += harmless_paragraphs(read_parquet_dir(args.bench, licence=LICENCE_CLASSES))
        plants = [row for row in rows if row.id in heldout]
        texts = [
            composite
            for lang in PLANT
            for direction in Direction
            for composite in composites(plants, paragraphs, lang, direction, count=args.count, seed=args.seed)
        ]
        classifier = Classifier.load(args.artifact)
        found = evaluate(texts, token_scorer(classifier))
    except (GuardError, OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return 2
    if not found:
        print("no composite: neither plants nor paragraphs among the held-out rows", file=sys.stderr)
        return 2
    document = {
        "model": classifier.artifact.identity,
        "seed": args.seed,
        "reached": found[0].reached,
        "groups": [asdict(summary) for summary in found],
    }
    args.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (args.output / "localisation.json").write_text(text + "\n", encoding="utf-8")
    markdown = to_markdown(document)
    (args.output / "localisation.md").write_text(markdown, encoding="utf-8")
    print(markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
