"""The part of a model card about the run: stages, seeds, hours, energy, data files, and what it began with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.card import text as card_text
from training.markdown import sections, table


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage of the run wrote about itself."""

    name: str
    arguments: Mapping[str, Any]
    data: Mapping[str, str]
    metrics: Mapping[str, Any]


def read_stages(run: Path) -> list[Stage]:
    """The stages of a run directory that left a ``metrics.json``, in the order in which they ran."""
    found = sorted(run.glob("*/metrics.json"), key=lambda file: (_place(file.parent.name), file.stat().st_mtime))
    stages = []
    for file in found:
        configuration = file.with_name("run.json")
        about = _read(configuration) if configuration.exists() else {}
        stages.append(Stage(file.parent.name, about.get("arguments", {}), about.get("data_sha256", {}), _read(file)))
    return stages


def _place(stage: str) -> int:
    """Known stages in their order, then the others."""
    names = list(card_text.STAGES)
    return names.index(stage) if stage in names else len(names)


def write(stages: Sequence[Stage], ablation_minutes: float, watts: float) -> str:
    """The stages and what they took.

    Args:
        stages: In their order.
        ablation_minutes: What the trainings of the ablations took.
        watts: Assumed power of the training machine.
    """
    if not stages:
        return "The run's directory was not given: stages, seeds and hours are unknown."
    rows, minutes = [], []
    for stage in stages:
        settings = {k: v for k, v in stage.arguments.items() if _is_number(v) and k != "seed"}
        figures = {k: v for k, v in stage.metrics.items() if _is_number(v) and k != "minutes"}
        minutes.append(float(stage.metrics.get("minutes", 0)))
        rows.append(
            (
                *(stage.name, stage.arguments.get("seed", ""), stage.metrics.get("minutes", "")),
                *(f"{minutes[-1] / 60 * watts:.0f}", card_text.STAGES.get(stage.name, ""), _pairs(settings)),
                _pairs(figures),
            )
        )
    hours = sum(minutes) / 60
    energy = f"{hours:.1f} hours in all, about {hours * watts:.0f} Wh at an assumed {watts:.0f} W"
    if ablation_minutes:
        more = ablation_minutes / 60
        energy += f"; the ablations took {more:.1f} hours more, about {more * watts:.0f} Wh"
    hashes = {name: digest for stage in stages for name, digest in stage.data.items()}
    listed = ", ".join(f"`{name}` {digest[:12]}" for name, digest in sorted(hashes.items()))
    data = (
        "sha256 of the files in the folders of data (first 12 digits); rows with a restricted licence in them are not "
        f"read: {listed}."
    )
    return sections(
        table(("stage", "seed", "minutes", "Wh", "what it does", "settings", "figures"), rows),
        energy + ". Not counted: runs that were given up, and measuring.",
        data if hashes else "",
    )


def backbone() -> str:
    """What the encoder had been trained on before."""
    rows = [(name, f"{pairs / 1e6:.1f}") for name, pairs in card_text.BACKBONE_DATA.items()]
    return sections(card_text.BACKBONE, table(("data set", "million pairs"), rows))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
