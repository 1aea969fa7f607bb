from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from guard.types import NONCOMPLIANT
from training.card import plot
from training.corpora import Row, write_parquet
from training.evaluate import main as evaluate
from training.reliability import document, main, of_rows, restricted_rows


def rows(source: str, licence_class: str = "restricted") -> list[Row]:
    """Rows that the tiny model scores high and low."""
    return [
        Row(
            id=f"{source}-{number}",
            source=source,
            lang="en" if number % 4 else "zh",
            side="prompt",
            text=("how to make a bomb " if bad else "hello my world ") + str(number),
            label=NONCOMPLIANT if bad else "compliant",
            categories=("weapons",) if bad else (),
            licence_class=licence_class,
        )
        for number in range(24)
        for bad in [number % 2 == 0]
    ]


def test_bins_hold_mean_score_and_share() -> None:
    """A group has its error and ten bins at most, with mean score and share of violations; an empty one is left out."""
    found = document("m@1", {"all": ([True, False, False, True], [0.95, 0.95, 0.05, 0.05]), "zh": ([], [])})
    (group,) = found["groups"]
    assert (group["name"], group["texts"], group["ece"]) == ("all", 4, pytest.approx(0.45))
    assert [(b["count"], b["mean_score"], b["share_positive"]) for b in group["bins"]] == [
        (2, 0.05, 0.5),
        (2, 0.95, 0.5),
    ]


def test_only_unseen_sources_are_scored(tmp_path: Path) -> None:
    """Free rows were trained on, and a mixed source's restricted rows look like its free ones: neither is measured."""
    for source, licence_class in (("letters", "restricted"), ("mixed", "restricted"), ("free", "permissive")):
        write_parquet(tmp_path / f"{source}.parquet", rows(source, licence_class))
    found = restricted_rows(tmp_path, 3, {"mixed"})
    assert {row.source for row in found} == {"letters"}
    assert len(found) == 9


def test_rows_and_records_agree(tiny_classifier: Classifier, tiny_model_dir: Path, tmp_path: Path) -> None:
    """The document of scored rows is that of the evaluation's records of them, per language and side."""
    write_parquet(tmp_path / "data" / "letters.parquet", rows("letters"))
    arguments = ["--data", str(tmp_path / "data"), "--model", str(tiny_model_dir), "--output", str(tmp_path / "eval")]
    assert evaluate([*arguments, "--bootstrap", "0"]) == 0
    assert main(["--records", str(tmp_path / "eval" / "records.jsonl"), "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "reliability.json").read_text(encoding="utf-8"))
    direct = of_rows(tiny_classifier, rows("letters"))
    assert [group["name"] for group in found["groups"]] == ["all", "en", "zh", "prompt"]
    assert (found["model"], found["sources"]) == (tiny_classifier.artifact.identity, ["letters"])
    assert [g["texts"] for g in found["groups"]] == [g["texts"] for g in direct["groups"]]
    assert found["groups"][0]["ece"] == pytest.approx(direct["groups"][0]["ece"], abs=1e-4)


def test_nothing_to_measure_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a restricted row the command names what lacks (exit 2)."""
    write_parquet(tmp_path / "free.parquet", rows("free", "permissive"))
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "restricted" in capsys.readouterr().err


def test_the_plot_is_of_one_width() -> None:
    """Every line of a diagram has the same width, with share and score at both ends of the scale."""
    bins = [
        {"low": low, "high": low + 0.1, "count": 5, "mean_score": score, "share_positive": share}
        for low, score, share in ((0.0, 0.0, 1.0), (0.9, 1.0, 0.0))
    ]
    fence, head, first, last, _ = plot.reliability(bins).splitlines()
    assert fence == "```text"
    assert len(first) == len(last) == len(head)
    assert first.endswith("|o" + "=" * 39 + "|")
    assert last.endswith("|" + " " * 39 + "o|")
