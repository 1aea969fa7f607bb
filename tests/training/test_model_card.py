from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from guard.classifier.artifact import Artifact, Source, read_artifact, write_artifact
from guard.types import CATEGORIES
from training import card_text
from training.model_card import main, read_source_lines, read_stages, write_card
from training.taxonomy import TAXONOMY

SOURCES = (
    "used in\tsource\trepository @ commit\tlicence (t: text seen)\tclass\trows\tremarks\n"
    "train\tposts\towner/posts @ 0123456789\tMIT [t]\tpermissive\t900\ta remark that stays out\n"
    "train\tplexpt_questions\towner/questions @ 1\tGPL-3.0\tsharealike\t800\t\n"
    "bench\ttest_posts\towner/test @ 2\tMIT\tpermissive\t70\t\n"
    "parallel\tbooks\towner/books @ 3\tCC0\tpermissive\t50\t\n"
    "parallel\tsubtitles\towner/subtitles @ 4\tnone stated\trestricted\t60\t\n"
    "plain/zh\tpapers\towner/papers @ 5\tCC-BY-4.0\tpermissive\t40\t\n"
)


@pytest.fixture
def artifact(tmp_path: Path, tiny_model_dir: Path) -> Artifact:
    """A copy of the tiny artifact that names corpora of the table."""
    directory = tmp_path / "artifact"
    shutil.copytree(tiny_model_dir, directory)
    return write_artifact(
        directory,
        name="tiny",
        unsupported=("privacy",),
        sources=(
            Source("posts", "MIT [t]", "permissive", 321),
            Source("plexpt_questions", "GPL-3.0", "sharealike", 123),
            Source("plain_papers", "CC-BY-4.0", "permissive", 45),
            Source("contrast", "Apache-2.0", "permissive", 67),
        ),
        metrics={"ece_prompt": 0.04321},
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two stages."""
    directory = tmp_path / "run"
    for stage, minutes in (("align", 30), ("train", 90)):
        (directory / stage).mkdir(parents=True)
        about = {"arguments": {"seed": 7, "lr": 1e-4, "output": "x"}, "data_sha256": {"posts.parquet": "ab" * 32}}
        (directory / stage / "run.json").write_text(json.dumps(about), encoding="utf-8")
        (directory / stage / "metrics.json").write_text(
            json.dumps({"loss": 0.25, "minutes": minutes}), encoding="utf-8"
        )
    return directory


def table(model: str) -> dict[str, object]:
    """A table of the evaluation with one line."""
    line = {"side": "prompt", "lang": "zh", "source": "test_posts", "texts": 70, "positives": 30}
    rates = ("auroc", "auprc", "recall_at_1", "recall_at_5", "f1", "fpr", "recall")
    line |= dict.fromkeys((*rates, "policy_f1", "policy_fpr", "policy_recall"), 0.875)
    line["policy_f1"] = None
    return {
        "model": model,
        "policy": "default@1",
        "texts": 70,
        "summary": {"lines": 3, "wins": 2, "ties": 1},
        "lines": [line],
        "families": [{**line, "source": "*"}],
        "categories": [{"side": "prompt", "category": "hate", "texts": 70, "positives": 3, "auroc": 0.75}],
        "calibration": [{"side": "prompt", "lang": "zh", "texts": 70, "ece": 0.0625}],
    }


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The table of sources."""
    path = tmp_path / "SOURCES.tsv"
    path.write_text(SOURCES, encoding="utf-8")
    return path


def test_every_category_has_a_meaning_and_a_counterexample() -> None:
    """The taxonomy covers exactly the contract's categories, each with what is and what is not meant."""
    assert tuple(TAXONOMY) == CATEGORIES
    assert all(meaning.what and meaning.meant and meaning.not_meant for meaning in TAXONOMY.values())


def test_the_card_is_written_from_the_run(artifact: Artifact, run: Path, sources: Path) -> None:
    """Identity, stages, seeds, hours, data hashes, corpora with licence and rows, and figures come from the files."""
    card = write_card(artifact, read_stages(run), read_source_lines(sources), table(artifact.identity), watts=50)
    assert artifact.identity in card
    assert "| train | seed 7, lr 0.0001 | loss 0.25 | 90 |" in card
    assert "2.0 hours in all, about 100 Wh" in card
    assert "`posts.parquet` abababababab" in card
    assert "| posts | owner/posts @ 0123456789 | MIT [t] | permissive | 321 |  |" in card
    assert "| plain_papers | owner/papers @ 5 | CC-BY-4.0 | permissive | 45 |  |" in card
    assert "| contrast | this project | Apache-2.0 | permissive | 67 | a language model, for this project |" in card
    assert "| ece_prompt | 0.04321 |" in card
    assert "| prompt | zh | test_posts | 70 | 30 | 0.875 |" in card
    assert "2 of 3 lines won, 1 tied" in card
    assert "a remark that stays out" not in card


def test_model_written_corpora_are_named_with_their_generator(artifact: Artifact, sources: Path) -> None:
    """A corpus that a model wrote is marked, with the model where it is known."""
    card = write_card(artifact, [], read_source_lines(sources), None, watts=30)
    assert "| plexpt_questions | owner/questions @ 1 | GPL-3.0 | sharealike | 123 | ChatGPT-3.5 |" in card
    assert card_text.MODEL_WRITTEN["teleantifraud"]


def test_restricted_sources_are_not_listed_as_used(artifact: Artifact, sources: Path) -> None:
    """Pairs and paragraphs that may be used are listed, restricted ones and benchmarks are not."""
    card = write_card(artifact, [], read_source_lines(sources), None, watts=30)
    assert "| books | parallel | owner/books @ 3 |" in card
    assert "subtitles" not in card
    assert "owner/test @ 2" not in card


def test_weights_from_restricted_rows_are_marked(artifact: Artifact) -> None:
    """A model that saw a restricted corpus says that it is not for release; others say that none entered."""
    assert "No row whose licence is restricted" in write_card(artifact, [], {}, None, watts=30)
    sources = (*artifact.sources, Source("tweets", "none stated", "restricted", 9))
    twin = write_artifact(artifact.directory, name="twin", sources=sources)
    card = write_card(twin, [], {}, None, watts=30)
    assert "not for release**: tweets" in card
    assert "No row whose licence" not in card


def test_scope_limits_and_misuse_are_stated(artifact: Artifact) -> None:
    """The card says what is out of scope, what a label is worth, what fails, and what it must not be used for."""
    card = write_card(artifact, [], {}, None, watts=30)
    assert "Political opinion is out of scope" in card
    assert "without a second annotator" in card
    assert "Not measured on benchmarks." in card
    assert "`privacy`" in card and card.count("**Unsupported**") == 1
    for heading in ("## Purpose", "## Limits", "## Not for"):
        assert heading in card


def test_the_command_writes_the_card_beside_the_model(
    artifact: Artifact, run: Path, sources: Path, tmp_path: Path
) -> None:
    """The card lands in the model directory and leaves the artifact valid and its revision unchanged."""
    figures = tmp_path / "table.json"
    figures.write_text(json.dumps(table(artifact.identity)), encoding="utf-8")
    arguments = ["--artifact", str(artifact.directory), "--run", str(run), "--sources", str(sources)]
    assert main([*arguments, "--eval", str(figures)]) == 0
    assert (artifact.directory / "MODEL_CARD.md").read_text(encoding="utf-8").startswith("# tiny\n")
    assert read_artifact(artifact.directory).identity == artifact.identity


def test_figures_of_another_model_are_refused(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that another model was measured with does not get into the card (exit 2)."""
    figures = tmp_path / "table.json"
    figures.write_text(json.dumps(table("other@1")), encoding="utf-8")
    assert main(["--artifact", str(artifact.directory), "--eval", str(figures)]) == 2
    assert "evaluate again" in capsys.readouterr().err
    (tmp_path / "bad.tsv").write_text("a\tb\n", encoding="utf-8")
    assert main(["--artifact", str(artifact.directory), "--sources", str(tmp_path / "bad.tsv")]) == 2
    assert "not a table of sources" in capsys.readouterr().err
