r"""Stage 7: the default policy's thresholds, set on held-out training rows.

    python -m training.thresholds --artifact runs/NAME/artifact --model runs/NAME/train --data DIR \\
        --policy policies/default.yaml --max-fpr 0.01 --write

For each direction the rule on ``noncompliant`` gets the lowest threshold at which at most ``--max-fpr`` of
the held-out compliant texts reach it; every other category's rule gets a tenth of that share, so that the
union stays near the bound. Sources count alike, whatever their size. ``--write`` changes the thresholds'
characters in the file and the line ``calibrated_for``, which names the model from then on, and nothing else.
``--least RULE=THRESHOLD`` keeps a rule from acting on lower scores, where the held-out texts cannot show what it costs;
``--fixed RULE=THRESHOLD`` is a rule's threshold whatever they show, where a miss costs more than they can say.
With fewer than ``--min-texts`` held-out compliant texts of a direction nothing is set: a share of a few says nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from guard.classifier.classifier import Classifier, Scored
from guard.errors import PolicyError
from guard.policy.load import load_policy, parse_policy
from guard.policy.threshold_edit import set_thresholds
from guard.types import CATEGORIES, NONCOMPLIANT, Direction
from training.corpora import COMPLIANT, Row, directions_of, read_parquet_dir
from training.queries import query_of

#: Thresholds stay in this range: below, a rule would fire on texts that the model calls compliant.
_LOWEST, _HIGHEST = 0.5, 0.99
#: A category's share of the false-alarm budget beside the overall rule's.
_CATEGORY_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Weighted:
    """Scores of compliant texts of one direction: [texts, categories], and a weight each (sum 1)."""

    scores: list[list[float]]
    weights: list[float]


def main(argv: list[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="calibrated artifact")
    parser.add_argument("--model", type=Path, required=True, help="directory written by training.train")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--max-fpr", type=float, default=0.01, help="share of compliant texts, 0..1")
    parser.add_argument("--per-source", type=int, default=300, help="held-out rows of one source at most")
    parser.add_argument("--least", action="append", default=[], type=_bound, help="RULE=THRESHOLD, may be repeated")
    parser.add_argument("--fixed", action="append", default=[], type=_bound, help="RULE=THRESHOLD, may be repeated")
    parser.add_argument("--min-texts", type=int, default=100, help="held-out compliant texts of a direction at least")
    parser.add_argument("--write", action="store_true", help="change the policy file")
    args = parser.parse_args(argv)
    heldout = set(json.loads((args.model / "mixture.json").read_text(encoding="utf-8"))["heldout"])
    rows = [r for path in args.data for r in read_parquet_dir(path) if r.id in heldout]
    compliant = [r for r in rows if r.label == COMPLIANT and r.about_all]
    classifier = Classifier.load(args.artifact)
    least, fixed = dict(args.least), dict(args.fixed)
    known = {rule.id for rule in load_policy(args.policy).rules}
    for option, bounds in (("--least", least), ("--fixed", fixed)):
        if unknown := bounds.keys() - known:
            raise SystemExit(f"{option}: {args.policy} has no rule {', '.join(sorted(unknown))}")
    values: dict[str, float] = {}
    for direction in Direction:
        found = compliant_scores(classifier, compliant, direction, args.per_source)
        if len(found.scores) < args.min_texts:
            raise SystemExit(
                f"{direction.value}: {len(found.scores)} held-out compliant texts, {args.min_texts} are needed to set "
                "thresholds (add corpora beside your own; --min-texts takes fewer)"
            )
        for rule in load_policy(args.policy).rules:
            if rule.direction is not direction or rule.category not in CATEGORIES:
                continue
            share = args.max_fpr * (1.0 if rule.category == NONCOMPLIANT else _CATEGORY_SHARE)
            value = max(threshold(found, CATEGORIES.index(rule.category), share), least.get(rule.id, 0.0))
            value = fixed.get(rule.id, value)
            print(f"{rule.id}: {rule.threshold} -> {value}")
            values[rule.id] = value
    # Bytes in and out: line ends and a byte order mark are the file's own.
    edited = set_thresholds(args.policy.read_bytes(), str(args.policy), values)
    text = replace_calibrated_for(edited.decode(), classifier.artifact.identity)
    if args.write:
        args.policy.write_bytes(text.encode())


def _bound(value: str) -> tuple[str, float]:
    """A rule and a threshold for it, from the command line."""
    rule, _, given = value.partition("=")
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not rule or not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not RULE=THRESHOLD with a threshold from 0 to 1")
    return rule, number


def compliant_scores(classifier: Classifier, rows: Sequence[Row], direction: Direction, per_source: int) -> Weighted:
    """Calibrated scores of the compliant rows that stand for a direction; every source weighs the same."""
    chosen: dict[str, list[Row]] = {}
    for row in rows:
        members = chosen.setdefault(row.source, [])
        if direction in directions_of(row, training=True) and len(members) < per_source:
            members.append(row)
    out = Weighted([], [])
    filled = [members for members in chosen.values() if members]
    for members in filled:
        for result in classifier.score_batch([query_of(row, direction) for row in members]):
            if isinstance(result, Scored):
                out.scores.append([result.scores[c] for c in CATEGORIES])
                out.weights.append(1 / len(filled) / len(members))
    return out


def threshold(found: Weighted, column: int, share: float) -> float:
    """Lowest threshold, in steps of 0.01, that at most ``share`` of the weighted texts reach."""
    if not found.scores:
        return _HIGHEST
    scores = np.array([row[column] for row in found.scores])
    weights = np.array(found.weights)
    order = np.argsort(-scores)
    reached = np.cumsum(weights[order])
    inside = int(np.searchsorted(reached, share, side="right"))
    # The first text that is too many must stay below the threshold.
    limit = float(scores[order[inside]]) if inside < len(order) else 0.0
    return round(min(_HIGHEST, max(_LOWEST, math.floor(limit * 100) / 100 + 0.01)), 2)


def replace_calibrated_for(text: str, model: str) -> str:
    """The policy text with the model that its thresholds belong to; a new line follows that of ``name``.

    Args:
        text: A policy as it stands in its file.
        model: ``name@revision``.

    Raises:
        SystemExit: The policy does not say so afterwards: its top level is not written as one key a line, or
            the model's name is none that a policy can carry.
    """
    changed, count = re.subn(r"^(calibrated_for:[ \t]+)[^\s#]+", rf"\g<1>{model}", text, flags=re.MULTILINE)
    if not count:
        line = rf"\g<0>\g<end>calibrated_for: {model}"
        changed = re.sub(r"^\ufeff?name:[^\r\n]*(?=(?P<end>\r?\n))", line, text, count=1, flags=re.MULTILINE)
    try:
        written = parse_policy(changed, "the policy").calibrated_for
    except PolicyError as error:
        raise SystemExit(f"calibrated_for cannot be written: {error}") from None
    if written != model:
        raise SystemExit(f"no place for calibrated_for: {model} (write the policy's name on a line of its own)")
    return changed


if __name__ == "__main__":
    main()
