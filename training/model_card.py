"""Write MODEL_CARD.md of an artifact from the artifact, the run that made it and what was measured.

Usage:
    python -m training.model_card --artifact runs/NAME/artifact --run runs/NAME --sources DATA/SOURCES.tsv \
        [--eval runs/NAME/eval/table.json] [--policy default] [--watts 30] [--mistakes FILE ...]

Measurements are looked for in the run's directory, each as ``NAME.json`` or in a directory of its name: ``eval``
(``table.json``), ``quantisation``, ``localisation``, ``reliability``, ``speed``, ``mistakes``, and ``ablations``
(one file a variant). What is not there is said not to be measured, or left out. A table of another model is refused;
another measurement of one carries a remark.

Nothing in the card is typed in after a run: figures come from the files, so a card cannot disagree with its
model. What no file can tell (purpose, limits, what a label is worth) stands in ``card/text.py`` and ``taxonomy.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from guard.classifier.artifact import FILES, Artifact, add_card, read_artifact
from guard.classifier.classifier import Classifier
from guard.errors import GuardError
from guard.policy.load import load_policy, resolve_policy
from training.card import ablations as card_ablations
from training.card import bench as card_bench
from training.card import checks as card_checks
from training.card import corpora as card_corpora
from training.card import run as card_run
from training.card import text as card_text
from training.card.checks import Decided
from training.card.corpora import SourceLine, read_source_lines
from training.card.run import Stage, read_stages
from training.markdown import sections, table, wrapped
from training.taxonomy import TAXONOMY


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a model; None or empty where it was not.

    Attributes:
        table: ``table.json`` of the evaluation.
        quantisation: ``quantisation.json``.
        localisation: ``localisation.json``.
        reliability: ``reliability.json``.
        speed: ``speed.json``.
        mistakes: ``mistakes.json`` of one model or several, oldest first.
        ablations: Variant -> its document.
        ablation_minutes: What training the variants took.
        examples: Texts that show weaknesses, and what the model makes of them.
    """

    table: Mapping[str, Any] | None = None
    quantisation: Mapping[str, Any] | None = None
    localisation: Mapping[str, Any] | None = None
    reliability: Mapping[str, Any] | None = None
    speed: Mapping[str, Any] | None = None
    mistakes: Sequence[Mapping[str, Any]] = ()
    ablations: card_ablations.Results = field(default_factory=dict)
    ablation_minutes: float = 0.0
    examples: Sequence[Decided] = ()


def read_measured(run: Path, *, table: Path | None = None, mistakes: Sequence[Path] = ()) -> Measured:
    """What a run directory holds.

    Args:
        run: The directory.
        table: ``table.json`` from elsewhere.
        mistakes: Analyses from elsewhere, oldest first; they come before the run's own.

    Raises:
        OSError: A named file cannot be read.
        ValueError: A file is not JSON, or not what its name says.
    """
    own = _found(run, "mistakes")
    return Measured(
        table=_json(table) if table else _found(run, "eval", "table.json"),
        quantisation=_found(run, "quantisation"),
        localisation=_found(run, "localisation"),
        reliability=_found(run, "reliability"),
        speed=_found(run, "speed"),
        mistakes=[*map(_json, mistakes), *([own] if own else [])],
        ablations=card_ablations.read(run / "ablations"),
        ablation_minutes=card_ablations.minutes(run / "ablations"),
    )


def _found(run: Path, name: str, file: str = "") -> dict[str, Any] | None:
    """A measurement's document: in a directory of its name, or beside such directories."""
    for path in (run / name / (file or f"{name}.json"), run / f"{name}.json"):
        if path.exists():
            return _json(path)
    return None


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path}: not a JSON object")
    return document


def write_card(
    artifact: Artifact,
    stages: Sequence[Stage],
    sources: Mapping[tuple[str, str], SourceLine],
    measured: Measured,
    *,
    watts: float,
) -> str:
    """The card's Markdown.

    Args:
        artifact: The described model.
        stages: Of its run.
        sources: Where the corpora came from.
        measured: Whatever was measured.
        watts: Assumed power of the training machine, for the estimate of energy.

    Raises:
        ValueError: The table is of another model.
    """
    model = artifact.identity
    size = artifact.path(FILES.model).stat().st_size / 1e6
    return (
        sections(
            f"# {artifact.name}",
            f"`{model}`, {artifact.created or 'undated'}. {size:.1f} MB int8 ONNX. Licence of the weights: Apache-2.0; "
            "of the corpora: below. Generated by `python -m training.model_card`.",
            *("## Purpose", card_text.PURPOSE, "## Scope", card_text.SCOPE),
            *("## Categories", _taxonomy(artifact), "## Input and output", _limits(artifact)),
            *("## Training", card_run.write(stages, measured.ablation_minutes, watts)),
            *("### Backbone", card_run.backbone(), "## Corpora", card_corpora.write(artifact, sources)),
            *("## Benchmarks", _bench(artifact, measured.table)),
            *("## Calibration", card_checks.calibration(artifact.metrics, measured.reliability, model)),
            *("## int8", card_checks.quantisation(measured.quantisation, model)),
            *("## Places within a text", card_checks.localisation(measured.localisation, model)),
            *("## Speed", card_checks.speed(measured.speed, model), "## Ablations", _ablations(measured)),
            *("## Mistakes", card_checks.mistakes(measured.mistakes), "## Limits", _weaknesses(measured.examples)),
            *("## Not for", card_text.NOT_FOR, "## Other figures of the run", _others(artifact)),
        )
        + "\n"
    )


def _bench(artifact: Artifact, document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "Not measured on benchmarks."
    if document["model"] != artifact.identity:
        raise ValueError(f"the table is of {document['model']}, the artifact is {artifact.identity} (evaluate again)")
    return card_bench.write(document)


def _ablations(measured: Measured) -> str:
    if not measured.ablations:
        return "None were run."
    hours = f", {measured.ablation_minutes / 60:.1f} hours in all" if measured.ablation_minutes else ""
    about = (
        f"{len(measured.ablations)} trainings on one proxy of the mixture{hours}, scored in floating point over the "
        "first 128 tokens of a text. They compare with each other, not with the model that ships."
    )
    return sections(about, card_ablations.write(measured.ablations))


def _weaknesses(decided: Sequence[Decided]) -> str:
    items = [wrapped(limit.what, first="- ", others="  ") for limit in card_text.LIMITS]
    return sections("\n".join(items), card_checks.examples(decided))


def _others(artifact: Artifact) -> str:
    """Figures of export and calibration as they stand in the artifact."""
    rows = [(name, f"{value:.4g}") for name, value in artifact.metrics.items()]
    return table(("figure", "value"), rows) if rows else "None."


def _limits(artifact: Artifact) -> str:
    limits = artifact.limits
    tokens = " and per token" if "token_scores" in artifact.outputs else ""
    return (
        f"Chunks of at most {limits.chunk} tokens that overlap by {limits.overlap}, with up to {limits.context} tokens "
        f"of context; texts of up to {limits.max_text} tokens. Scores come per text{tokens}; those of a text are "
        "pooled over chunks by maximum and calibrated per category and direction. Texts are normalised first (version "
        f"{artifact.normalizer_version})."
    )


def _taxonomy(artifact: Artifact) -> str:
    rows = []
    for category in artifact.categories:
        meaning = TAXONOMY[category]
        note = " **Unsupported**: too few examples; do not rely on it." if category in artifact.unsupported else ""
        rows.append((f"`{category}`", meaning.what + "." + note, meaning.meant, meaning.not_meant))
    return table(("category", "what", "meant", "not meant"), rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--artifact", type=Path, required=True, help="model directory; the card is written into it")
    parser.add_argument("--run", type=Path, help="directory with the stages' directories")
    parser.add_argument("--sources", type=Path, help="SOURCES.tsv of the corpora")
    parser.add_argument("--eval", type=Path, help="table.json of training.evaluate (default: the run's)")
    parser.add_argument("--mistakes", type=Path, nargs="*", default=[], help="mistakes.json of earlier models")
    parser.add_argument("--policy", default="default", help="name of a shipped policy, or a file: decides the examples")
    parser.add_argument("--watts", type=float, default=30.0, help="assumed power of the training machine")
    args = parser.parse_args(argv)
    try:
        artifact = read_artifact(args.artifact)
        measured = _read_all(args)
        card = write_card(
            artifact,
            read_stages(args.run) if args.run else [],
            read_source_lines(args.sources) if args.sources else {},
            measured,
            watts=args.watts,
        )
        add_card(artifact, card)
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except (KeyError, TypeError) as error:
        print(f"a measurement of the run has another form: {error!r} (measure again)", file=sys.stderr)
        return 2
    for decided in measured.examples:
        if not decided.fails:
            print(f"no longer fails, so not shown: {decided.example.text}", file=sys.stderr)
    print(artifact.path(FILES.card))
    return 0


def _read_all(args: argparse.Namespace) -> Measured:
    """What the run holds, and the examples as the artifact decides them."""
    found = Measured()
    if args.run:
        found = read_measured(args.run, table=args.eval, mistakes=args.mistakes)
    elif args.eval or args.mistakes:
        found = Measured(table=_json(args.eval) if args.eval else None, mistakes=[*map(_json, args.mistakes)])
    given = [example for limit in card_text.LIMITS for example in limit.examples]
    policy = load_policy(resolve_policy(args.policy))
    return replace(found, examples=card_checks.decide(given, Classifier.load(args.artifact), policy))


if __name__ == "__main__":
    sys.exit(main())
