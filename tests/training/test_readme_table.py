from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.classifier.artifact import DEFAULT_MODEL_DIR, read_artifact
from training.bench.comparison import System
from training.readme_table import BEGIN, END, README, figures, main, replaced


def line(source: str, **figures: float | None) -> dict[str, Any]:
    """A line of a table's document."""
    return {"side": "prompt", "lang": "en", "source": source, "texts": 50, "positives": 20, **figures}


def document(*lines: dict[str, Any], **more: object) -> dict[str, Any]:
    """A document with these lines by source."""
    about = {"model": "m@1", "policy": "p@1", "texts": 99, "summary": None, "targets": []}
    return {**about, "lines": list(lines), "families": [], **more}


OURS = document(
    line("a", auroc=0.8, recall=0.5, fpr=0.1, policy_recall=0.4, policy_fpr=0.02),
    line("b", auroc=0.9, recall=0.7, fpr=0.0, policy_recall=0.6, policy_fpr=0.0),
    line("c", auroc=0.1, recall=0.0, fpr=0.9, policy_recall=0.0, policy_fpr=0.9),
    unseen=["b"],
)
PRINTED = "prompt en a n= 50 AUROC=0.60 R=0.30 FPR=0.04\nprompt en b n= 50 AUROC=0.70 R=0.50 FPR=0.06\n"


def flat(text: str) -> str:
    """Text without the spaces and line ends that only lay it out."""
    return " ".join(text.split())


def test_sources_count_alike_and_only_where_all_were_measured(tmp_path: Path) -> None:
    """A row has means over the sources of a family that every system has, and one over the unseen ones of these."""
    baseline = tmp_path / "n-gram.txt"
    baseline.write_text(PRINTED, encoding="utf-8")
    table, readme = tmp_path / "table.json", tmp_path / "README.md"
    table.write_text(json.dumps(OURS), encoding="utf-8")
    readme.write_text(f"# x\n{BEGIN}\nstale\n{END}\nrest\n", encoding="utf-8")
    assert main(["--table", str(table), "--baseline", str(baseline), "--readme", str(readme)]) == 0
    text = flat(readme.read_text(encoding="utf-8"))
    assert "| prompts, English | 2 | 0.85 | 0.65 | 0.60 / 0.050 | 0.40 / 0.050 | 0.50 / 0.010 |" in text
    assert "| prompts, English: unseen | 1 | 0.90 | 0.70 | 0.70 / 0.000 | 0.50 / 0.060 | 0.60 / 0.000 |" in text
    assert text.startswith("# x") and text.endswith("rest") and "stale" not in text


def test_where_it_is_worst_is_said() -> None:
    """The sources with the lowest recall and the most false alarms are named, whatever other systems have."""
    text = flat(figures(System.of_table("guard", OURS)))
    assert "Least found: c (prompt, en) 0.00, a (prompt, en) 0.40" in text
    assert "Most false alarms: c (prompt, en) 0.90" in text


def test_another_table_stands_as_it_decides() -> None:
    """A system with decisions of its own has no column at 5 % false alarms."""
    words = System.of_table("words", document(line("a", auroc=0.55, policy_recall=0.2, policy_fpr=0.1)))
    text = flat(figures(System.of_table("guard", OURS), None, [words]))
    assert "| | sources | AUROC guard | AUROC words | decided guard | decided words |" in text
    assert "| prompts, English | 1 | 0.80 | 0.55 | 0.40 / 0.020 | 0.20 / 0.100 |" in text


def test_marks_must_be_there_once() -> None:
    """Without both marks, in their order and once each, nothing is written."""
    for text in ("", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"):
        with pytest.raises(ValueError, match="once each"):
            replaced(text, "x")


def test_the_readmes_figures_are_of_the_model_that_ships() -> None:
    """Whoever changes the default artifact writes the table again."""
    block = README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert f"`{read_artifact(DEFAULT_MODEL_DIR).identity}`" in block
