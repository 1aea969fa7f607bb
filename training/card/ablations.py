"""The part of a model card that comes from the ablations: what stages, seeds, data and restricted rows give.

Sources: one JSON file a variant, written by ``training.ablate``: ``question`` and, per set (``unseen``, ``bench``) and
family, ``texts``, ``auroc``, ``recall_at_5``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from training.markdown import rate, sections, table

#: Variant -> its document.
Results: TypeAlias = Mapping[str, Mapping[str, Any]]

#: The variant that the others are compared with, the twin, and what the names of seeds and shares look like.
FULL, TWIN = "full", "restricted"
_SEED = re.compile(r"seed-\d+")
_SHARE = re.compile(r"share-(\d+)")
_SETS = ("unseen", "bench")
_MEASURES: Mapping[str, str] = {"auroc": "AUROC", "recall_at_5": "recall at 5 % FPR"}


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """The variants of a directory by name; empty if there is none.

    Raises:
        ValueError: A file is not one of ``training.ablate``.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(directory.glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not isinstance(document.get("measured"), dict):
            raise ValueError(f"{file}: not a result of training.ablate (keep other files out of this directory)")
        found[file.stem] = document
    return found


def minutes(directory: Path) -> float:
    """What the trainings of all variants took together."""
    files = directory.glob("*/metrics.json")
    return sum(float(json.loads(file.read_text(encoding="utf-8")).get("minutes", 0)) for file in files)


def write(results: Results) -> str:
    """Sections on stages, seeds, scaling and the twin; those without a variant are left out."""
    others = [name for name in results if name not in (FULL, TWIN) and not _SEED.fullmatch(name)]
    stages = [name for name in others if not _SHARE.fullmatch(name)]
    return sections(
        _part(
            "### What each stage gives",
            "The first line is absolute, the others are differences to it in points (hundredths); a negative figure is "
            "what would be lost. AUROC / recall at 5 % false alarms.",
            _differences(results, stages),
        ),
        _part(
            "### Seeds", "Mean over the seeds, and how far the best lies above the worst, in points.", _seeds(results)
        ),
        _part("### More data", "Share of the proxy's rows. AUROC / recall at 5 % false alarms.", _scaling(results)),
        _part(
            "### The twin on all rows",
            "Trained on the same number of rows, restricted ones among them; it is not released. Differences in "
            "points: what leaving restricted rows out costs (positive) or gains (negative).",
            _differences(results, [TWIN] if TWIN in results else []),
        ),
    )


def _part(heading: str, note: str, text: str) -> str:
    return sections(heading, note, text) if text else ""


def _measured(results: Results, name: str, which: str) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = results.get(name, {}).get("measured", {}).get(which, {})
    return {family: values for family, values in found.items() if "auroc" in values}


def _per_set(parts: Mapping[str, str]) -> str:
    return sections(*(sections(f"{_title(which)}:", text) for which, text in parts.items() if text))


def _title(which: str) -> str:
    return "Sources of the training folder that no variant trains on" if which == "unseen" else "Benchmarks"


def _differences(results: Results, names: Sequence[str]) -> str:
    return _per_set({which: _difference_table(results, names, which) for which in _SETS})


def _difference_table(results: Results, names: Sequence[str], which: str) -> str:
    base = _measured(results, FULL, which)
    shown = [name for name in names if _measured(results, name, which)]
    if not base or not shown:
        return ""
    families = list(base)
    rows = [(FULL, results[FULL].get("question", ""), *(_absolute(base[family]) for family in families))]
    for name in shown:
        found = _measured(results, name, which)
        cells = [_change(found[family], base[family]) if family in found else "" for family in families]
        rows.append((name, results[name].get("question", ""), *cells))
    return table(("variant", "what it is", *families), rows)


def _absolute(values: Mapping[str, float]) -> str:
    return f"{values['auroc']:.3f} / {values['recall_at_5']:.2f}"


def _change(values: Mapping[str, float], base: Mapping[str, float]) -> str:
    return " / ".join(f"{100 * (values[measure] - base[measure]):+.1f}" for measure in _MEASURES)


def _seeds(results: Results) -> str:
    names = [name for name in results if name == FULL or _SEED.fullmatch(name)]
    if len(names) < 2:
        return ""
    parts = {}
    for which in _SETS:
        measured = [found for name in names if (found := _measured(results, name, which))]
        rows = []
        for family in measured[0] if len(measured) > 1 else ():
            for measure, title in _MEASURES.items():
                values = [found[family][measure] for found in measured if family in found]
                spread = 100 * (max(values) - min(values))
                mean = sum(values) / len(values)
                rows.append(
                    (family, title, len(values), rate(mean), rate(min(values)), rate(max(values)), f"{spread:.1f}")
                )
        head = ("family", "measure", "seeds", "mean", "worst", "best", "spread")
        parts[which] = table(head, rows) if rows else ""
    return _per_set(parts)


def _scaling(results: Results) -> str:
    shares = {name: int(match[1]) for name in results if (match := _SHARE.fullmatch(name))}
    if not shares or FULL not in results:
        return ""
    order = [*sorted(shares, key=lambda name: shares[name]), FULL]
    parts = {}
    for which in _SETS:
        rows = []
        for family in _measured(results, FULL, which):
            found = [_measured(results, name, which).get(family) for name in order]
            rows.append((family, *("" if values is None else _absolute(values) for values in found)))
        head = ("family", *(f"{shares.get(name, 100)} %" for name in order))
        parts[which] = table(head, rows) if rows else ""
    return _per_set(parts)
