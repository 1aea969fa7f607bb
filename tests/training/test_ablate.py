"""Ablations: the same texts are measured every time, and the table says what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.types import CATEGORIES, NONCOMPLIANT
from training import ablate, train
from training.ablate import VARIANTS, read_results, to_markdown
from training.corpora import COMPLIANT, Row, write_parquet
from training.network import GuardNetwork, load_encoder, save_network
from training.tiny_backbone import write_tiny_backbone
from training.train import load_backbone


def _rows(count: int, source: str, lang: str = "en", side: str = "prompt", licence: str = "permissive") -> list[Row]:
    return [
        Row(
            id=f"{source}-{lang}-{side}-{number}",
            source=source,
            lang=lang,
            side=side,
            text=f"make it {number}",
            label=NONCOMPLIANT if number % 2 else COMPLIANT,
            categories=("hate",) if number % 2 else (),
            licence_class=licence,
        )
        for number in range(count)
    ]


def test_unseen_rows_are_restricted_and_bench_rows_are_all(tmp_path: Path) -> None:
    """The first set is made of rows that no variant may train on, the second of every licence."""
    narrow = Row(id="n", source="n", lang="en", side="prompt", text="x", label=COMPLIANT, about=("hate",))
    write_parquet(tmp_path / "a.parquet", [*_rows(6, "open"), *_rows(6, "closed", licence="restricted"), narrow])
    assert {row.source for row in ablate.unseen_rows(tmp_path)} == {"closed"}
    assert {row.source for row in ablate.bench_rows(tmp_path)} == {"open", "closed"}


def test_variants_differ_from_the_full_one_in_one_thing() -> None:
    """Names are unique, the full variant comes first, and every other one changes one of stage, share and options."""
    full = VARIANTS[0]
    assert full.name == "full" and (full.share, full.options) == (1.0, ())
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    for variant in VARIANTS[1:]:
        changed = [variant.backbone != full.backbone, variant.share != full.share, variant.options != full.options]
        assert sum(changed) == 1, variant.name


def _figures(auroc: float) -> dict[str, float]:
    return {"texts": 40.0, "auroc": auroc, "recall_at_5": 0.5}


def test_the_table_has_a_line_a_variant_and_a_column_a_family() -> None:
    """Every measured set is a table; what was not measured is empty, and families of one label are left out."""
    families = {"prompt en": _figures(0.9), "prompt zh": _figures(0.8), "response en": {"texts": 3.0}}
    results: dict[str, dict[str, object]] = {
        "full": {"question": "all of it", "measured": {"unseen": families, "bench": {"prompt en": _figures(0.7)}}},
        "restricted": {"question": "twin", "measured": {"bench": {"content en": _figures(0.65)}}},
    }
    text = to_markdown(results)
    assert text.index("## unseen") < text.index("## bench")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert lines == [
        ["variant", "question", "prompt en", "prompt zh"],
        ["full", "all of it", "0.900 / 0.50", "0.800 / 0.50"],
        ["variant", "question", "content en", "prompt en"],
        ["full", "all of it", "", "0.700 / 0.50"],
        ["restricted", "twin", "0.650 / 0.50", ""],
    ]


def test_nothing_measured_is_an_empty_page() -> None:
    """Without results there is no table."""
    assert "|" not in to_markdown({})


def test_results_are_read_in_the_order_of_the_variants(tmp_path: Path) -> None:
    """What is there is read, in the variants' order; what is missing is left out."""
    for name in ("seed-1", "full"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"question": name, "measured": {}}))
    (tmp_path / "other.json").write_text("{}")
    assert list(read_results(tmp_path)) == ["full", "seed-1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network as the training stage leaves it; it knows nothing."""
    directory = tmp_path_factory.mktemp("trained")
    write_tiny_backbone(directory / "base")
    tokenizer, encoder = load_backbone(str(directory / "base"))
    save_network(GuardNetwork(encoder, 64, len(CATEGORIES)), directory / "model")
    tokenizer.save(str(directory / "model" / "tokenizer.json"))
    return directory / "model"


def test_families_are_measured_apart(trained: Path) -> None:
    """Each side and language has its figures; a family with one label alone has only its number of texts."""
    rows = [
        *_rows(20, "a"),
        *_rows(20, "b", side="content"),
        *(r for r in _rows(20, "c", "zh") if r.label == COMPLIANT),
    ]
    found = ablate.measure(trained, rows)
    assert list(found) == ["content en", "prompt en", "prompt zh"]
    assert found["prompt zh"] == {"texts": 10.0}
    assert 0 <= found["prompt en"]["auroc"] <= 1 and found["prompt en"]["texts"] == 20
    assert ablate.measure(trained, rows[::-1]) == found


def test_a_finished_variant_is_not_trained_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant is trained once on its share of the proxy; the next start reads what the first one found."""
    write_parquet(tmp_path / "data" / "train" / "a.parquet", _rows(8, "closed", licence="restricted"))
    write_parquet(tmp_path / "data" / "bench" / "a.parquet", _rows(8, "bench"))
    commands: list[list[str]] = []

    def trained_already(command: list[str]) -> None:
        commands.append(command)
        output = Path(command[command.index("--output") + 1])
        save_network(GuardNetwork(load_encoder(str(trained)), 64, len(CATEGORIES)), output)
        (output / "tokenizer.json").write_bytes((trained / "tokenizer.json").read_bytes())
        (output / "metrics.json").write_text("{}")

    monkeypatch.setattr(train, "main", trained_already)
    places = ["--run", str(tmp_path / "run"), "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    only = ["--encoder", "some/encoder", "--rows", "400", "--only", "share-25", "english", "restricted"]
    for _ in range(2):
        ablate.main([*places, *only, "--train-option=--lr=2e-4"])
    found = {Path(c[c.index("--output") + 1]).name: c for c in commands}
    assert len(commands) == 3
    assert [found["share-25"][found["share-25"].index(name) + 1] for name in ("--backbone", "--rows")] == [
        str(tmp_path / "run" / "rehearse"),
        "100",
    ]
    assert "some/encoder" in found["english"] and "--restricted" in found["restricted"]
    assert all(command[-1] == "--lr=2e-4" for command in commands)
    page = (tmp_path / "out" / "ablations.md").read_text()
    unseen, bench = page.split("## unseen")[1].split("## bench")
    assert "| english |" in unseen and "| restricted |" not in unseen
    assert "| restricted |" in bench
