from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guard.classifier.artifact import Artifact, Source, read_artifact, write_artifact
from guard.classifier.classifier import Classifier
from guard.policy.load import load_policy, resolve_policy
from guard.types import CATEGORIES, Action
from training.bench.comparison import BaselineLine, System, contests
from training.bench.report import to_json
from training.bench.table import CategoryLine, LengthLine, Line, Table
from training.card import ablations as card_ablations
from training.card import checks as card_checks
from training.card import text as card_text
from training.card.checks import Decided
from training.card.corpora import read_source_lines
from training.card.run import read_stages
from training.card.text import Example
from training.model_card import Measured, main, read_measured, write_card
from training.sources import used_sources
from training.taxonomy import TAXONOMY

SOURCES = (
    "used in\tsource\trepository @ commit\tlicence (t: text seen)\tclass\trows\tremarks\n"
    "train\tposts\towner/posts @ 0123456789\tMIT [t]\tpermissive\t900\ta remark that stays out\n"
    "train\tplexpt_questions\towner/questions @ 1\tGPL-3.0\tsharealike\t800\t\n"
    "bench\ttest_posts\towner/test @ 2\tMIT\tpermissive\t70\t\n"
    "parallel\tbooks\towner/books @ 3\tCC0\tpermissive\t50\t\n"
    "parallel\tcrosswords\towner/crosswords @ 6\tCC-BY-SA\tsharealike\t50\t\n"
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
            Source("composed", "Apache-2.0 (written for this project)", "permissive", 89),
        ),
        metrics={"heldout_prompt_ece": 0.04321, "unseen_zh_ece": 0.0654, "unseen_zh_rows": 210.0},
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two stages."""
    directory = tmp_path / "run"
    for stage, minutes in (("train", 90), ("align", 30)):
        (directory / stage).mkdir(parents=True)
        about = {"arguments": {"seed": 7, "lr": 1e-4, "output": "x"}, "data_sha256": {"posts.parquet": "ab" * 32}}
        write(directory / stage / "run.json", about)
        write(directory / stage / "metrics.json", {"loss": 0.25, "minutes": minutes})
    return directory


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The table of sources."""
    path = tmp_path / "SOURCES.tsv"
    path.write_text(SOURCES, encoding="utf-8")
    return path


def write(path: Path, document: object) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def line(source: str, **changes: Any) -> Line:
    """A line of a table; every rate is 0.875 and has an interval where lines have one."""
    interval = {"low": 0.81, "high": 0.92}
    names = [name for name in Line.__dataclass_fields__ if name.endswith("_interval")]
    rates = ("auroc", "auprc", "recall_at_1", "recall_at_5", "threshold", "f1", "fpr", "recall")
    figures: dict[str, Any] = dict.fromkeys((*rates, "policy_f1", "policy_fpr", "policy_recall"), 0.875)
    figures |= dict.fromkeys(names, interval) | {"texts": 70, "positives": 30} | changes
    return Line("prompt", "zh", source, **figures)


def table(model: str) -> dict[str, Any]:
    """The document of an evaluation with one source, beside an n-gram baseline and a filter of words."""
    lines = (line("cvalues"), line("test_posts"))
    families = (line("*", policy_fpr=0.125), line("*unseen"))
    made = Table(
        lines,
        families,
        (CategoryLine("hate", "prompt", 70, 3, 0.75, 0.5),),
        (),
        (LengthLine("prompt", "zh", 33, 64, 40, 10),),
        ("cvalues",),
    )
    printed = {("prompt", "zh", "test_posts"): BaselineLine(70, {"auroc": 0.901, "fpr": 0.2})}
    words = System("words", {("prompt", "zh", "*"): {"policy_fpr": 0.333, "texts": 70}})
    about = {"model": model, "policy": "default@1", "texts": 140}
    return to_json(made, contests(lines, printed), about, [System.of_baseline("n-gram", printed), words])


def card(artifact: Artifact, measured: Measured | None = None, *, sources: Path | None = None) -> str:
    """A card without a run."""
    known = read_source_lines(sources) if sources else {}
    return write_card(artifact, [], known, measured or Measured(), watts=30)


def flat(text: str) -> str:
    """Text without the spaces and line ends that only lay it out."""
    return " ".join(text.split())


def part(text: str, heading: str) -> str:
    """A section of a card, laid out flat."""
    level = heading.split()[0]
    body = text.split(f"\n{heading}\n", 1)[1]
    return flat(body.split(f"\n{level} ", 1)[0].split("\n## ", 1)[0])


def test_every_category_has_a_meaning_and_a_counterexample() -> None:
    """The taxonomy covers exactly the contract's categories, each with what is and what is not meant."""
    assert tuple(TAXONOMY) == CATEGORIES
    assert all(meaning.what and meaning.meant and meaning.not_meant for meaning in TAXONOMY.values())


def test_stages_seeds_hours_and_energy_come_from_the_run(artifact: Artifact, run: Path) -> None:
    """Stages stand in the order in which they ran, with seed, minutes, energy and the hashes of what they read."""
    text = flat(write_card(artifact, read_stages(run), {}, Measured(ablation_minutes=60.0), watts=50))
    assert text.index("| align | 7 | 30 | 25 |") < text.index("| train | 7 | 90 | 75 |")
    assert "2.0 hours in all, about 100 Wh at an assumed 50 W; the ablations took 1.0 hours more, about 50 Wh" in text
    assert "`posts.parquet` abababababab" in text
    assert "lr 0.0001" in text
    assert "loss 0.25" in text


def test_corpora_are_listed_with_rows_licence_and_origin(artifact: Artifact, sources: Path) -> None:
    """Every training source has its rows, class, licence and repository; what was written here says so."""
    text = flat(card(artifact, sources=sources))
    assert "| posts | 321 | permissive | MIT [t] | | owner/posts @ 0123456789 |" in text
    assert "| plain_papers | 45 | permissive | CC-BY-4.0 | | owner/papers @ 5 |" in text
    assert "| contrast | 67 | permissive | Apache-2.0 | a language model, for this project | this project |" in text
    assert "a remark that stays out" not in text


def test_composed_rows_carry_the_licences_of_their_parts(artifact: Artifact, sources: Path) -> None:
    """Rows made from other corpora are no original work: with share-alike parts they count as share-alike."""
    text = flat(card(artifact, sources=sources))
    assert f"| composed | 89 | sharealike | as its rows | as its parts | {card_text.DERIVED['composed']} |" in text
    assert "| sharealike | 2 | 212 |" in text
    assert "Share-alike corpora among them: plexpt_questions (GPL-3.0)." in text
    assert "Share-alike pairs and paragraphs: parallel crosswords (CC-BY-SA)." in text


def test_model_written_corpora_are_named_with_their_generator(artifact: Artifact, sources: Path) -> None:
    """A corpus that a model wrote is marked, with the model where it is known."""
    text = flat(card(artifact, sources=sources))
    assert "| plexpt_questions | 123 | sharealike | GPL-3.0 | ChatGPT-3.5 | owner/questions @ 1 |" in text
    assert card_text.MODEL_WRITTEN["teleantifraud"]


def test_the_backbones_training_data_is_declared(artifact: Artifact) -> None:
    """What the encoder was trained on before is listed as its own card has it, about 1.17 billion pairs."""
    backbone = part(card(artifact), "### Backbone")
    for name in ("Reddit comments", "S2ORC", "WikiAnswers", "MS MARCO", "TriviaQA"):
        assert name in backbone
    assert sum(card_text.BACKBONE_DATA.values()) / 1e9 == pytest.approx(1.17, abs=0.005)


def test_restricted_sources_are_not_listed_as_used(artifact: Artifact, sources: Path) -> None:
    """Pairs and paragraphs that may be used are listed, restricted ones and benchmarks are not."""
    text = flat(card(artifact, sources=sources))
    assert "| books | parallel | 50 | permissive | CC0 | | owner/books @ 3 |" in text
    assert "subtitles" not in text
    assert "owner/test @ 2" not in text


def test_weights_from_restricted_rows_are_marked(artifact: Artifact) -> None:
    """A model that saw a restricted corpus says that it is not for release; others say that none entered."""
    assert "No row whose licence is restricted" in flat(card(artifact))
    used = (*artifact.sources, Source("tweets", "none stated", "restricted", 9))
    text = flat(card(write_artifact(artifact.directory, name="twin", sources=used)))
    assert "not for release**: tweets" in text
    assert "No row whose licence" not in text
    assert "| composed | 89 | restricted |" in text


def test_scope_limits_and_misuse_are_stated(artifact: Artifact) -> None:
    """The card says what is out of scope, what a label is worth, what fails, and what it must not be used for."""
    text = card(artifact)
    assert "Political opinion is out of scope" in text
    assert "without a second annotator" in text
    assert "`privacy`" in text and text.count("**Unsupported**") == 1
    assert [limit for limit in card_text.LIMITS if flat(limit.what) not in part(text, "## Limits")] == []
    assert "Surveillance of opinion" in part(text, "## Not for")


def test_what_was_not_measured_is_said(artifact: Artifact) -> None:
    """Without measurements every section says that there is none."""
    text = card(artifact)
    assert part(text, "## Benchmarks") == "Not measured on benchmarks."
    for heading in ("## int8", "## Places within a text", "## Speed"):
        assert part(text, heading) == "Not measured."
    assert part(text, "## Ablations") == "None were run."


def test_families_stand_with_intervals_and_beside_other_systems(artifact: Artifact) -> None:
    """A family has its figures with intervals; a system without family figures has no column there."""
    text = card(artifact, Measured(table=table(artifact.identity)))
    families = part(text, "### Families")
    assert (
        "| prompt zh | all | 70 | 30 | 0.875 [0.810, 0.920] | 0.875 [0.810, 0.920] | 0.125 [0.810, 0.920] |" in families
    )
    assert "| prompt zh | unseen sources | 70 |" in families
    assert "| family | over | measure | words | this model |" in families
    assert "| prompt zh | all | FPR, policy | 0.333 | 0.125 |" in families


def test_sources_stand_beside_the_baseline_and_losses_are_explained(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source has our figures and the others'; a line lost to the n-grams is listed with its reason."""
    monkeypatch.setattr(card_text, "LOST", {"test_posts": "its posts are short"})
    text = card(artifact, Measured(table=table(artifact.identity)))
    assert "| test_posts | 70 | 30 | 0.875 [0.810, 0.920] |" in part(text, "### Sources")
    assert "| AUROC | 0.875 | 0.901 | | loss |" in part(text, "### Sources")
    assert "| cvalues † |" in part(text, "### Sources")
    assert "| prompt | zh | test_posts | auroc | 0.875 | 0.901 | its posts are short |" in flat(text)
    assert "0 of 1 lines won, 0 tied, 1 lost" in flat(text)


def test_targets_say_in_each_column_whether_they_are_reached(artifact: Artifact) -> None:
    """A target has both thresholds' values, each with a yes or a no; one without a value has neither."""
    targets = part(card(artifact, Measured(table=table(artifact.identity))), "### Targets")
    assert "| reach | cvalues | prompt zh | fpr | <= 0.04 | 0.27 | 0.875 | no | 0.875 | no | |" in targets
    assert "| must | lines lost to the n-grams | | losses | <= 0 | | 1 | no | 1 | no | |" in targets
    assert "| reach | cold | content zh | f1 | >= 0.87 | 0.83 | | | | | cold |" in targets


def test_false_alarms_stand_by_length(artifact: Artifact) -> None:
    """Compliant texts of a length, how many of them were not allowed, and the share."""
    text = card(artifact, Measured(table=table(artifact.identity)))
    assert "| prompt | zh | 33-64 | 40 | 10 | 0.250 |" in part(text, "### False alarms by length")


def test_a_table_of_an_older_program_is_enough(artifact: Artifact) -> None:
    """A table without targets, comparisons and lengths leaves those sections out."""
    document = table(artifact.identity)
    for name in ("targets", "comparisons", "systems", "lengths", "unseen", "contests"):
        del document[name]
    text = card(artifact, Measured(table=document))
    assert "| test_posts | 70 | 30 |" in part(text, "### Sources")
    for heading in ("### Targets", "### False alarms by length", "#### Side by side"):
        assert heading not in text


def test_calibration_on_unseen_sources_comes_first_and_is_judged(artifact: Artifact) -> None:
    """The error on unseen sources is held against its border; on fitted rows it is only given."""
    text = part(card(artifact), "## Calibration")
    unseen = "| sources that neither training nor calibration has seen | zh | 210 | 0.065 | no | |"
    fitted = "| held-out rows that the calibration was fitted on | prompt | | 0.043 | | |"
    assert text.index(unseen) < text.index(fitted)


def test_the_diagram_shows_score_and_share(artifact: Artifact) -> None:
    """In a bin of the diagram the bar ends at the share of violations and the mark stands at the mean score."""
    bins = [{"low": 0.5, "high": 0.6, "count": 8, "mean_score": 0.55, "share_positive": 0.25}]
    group = {"name": "zh", "texts": 8, "ece": 0.3, "bins": bins}
    document = {"model": artifact.identity, "sources": ["letters"], "groups": [group]}
    text = card(artifact, Measured(reliability=document))
    (drawn,) = [row for row in text.splitlines() if row.startswith("0.50-0.60")]
    bar = drawn.split("|")[1]
    assert (len(bar), bar.rstrip("o ").count("="), bar.index("o")) == (40, 10, 21)
    assert "Reliability over letters:" in text


QUANTISATION = {
    "policy": "default@1",
    "limit_per_source": 9,
    "lossless": False,
    "families": [
        {
            "side": "*",
            "lang": "*",
            "texts": 90,
            "positives": 40,
            "float_auprc": 0.9,
            "int8_auprc": 0.89,
            "loss": 1.0,
            "agreement": 0.985,
            "mean_difference": 0.01,
        }
    ],
}
LOCALISATION = {
    "reached": True,
    "groups": [
        {
            "lang": "zh",
            "direction": "output",
            "texts": 50,
            "token_auroc": 0.95,
            "pointing": 0.9,
            "sentence": 0.8,
            "blind_pointing": 0.2,
            "blind_sentence": 0.16,
        }
    ],
}
SPEED = {
    "device": "a small computer",
    "rows": [
        {"tokens": 60, "ours_ms": 6.5, "minilm_ms": 6.4, "ratio": 1.0156, "texts_per_s": 153.8, "gops": 210.0},
        {"tokens": 512, "as_served": False, "ours_ms": 90.0, "minilm_ms": 91.0, "ratio": 0.989, "texts_per_s": 11.1},
    ],
    "gemm_peak_gops": 430.0,
    "share_of_peak": 0.49,
}


def test_costs_places_and_speed_come_from_their_files(artifact: Artifact) -> None:
    """int8, localisation and speed have their figures, and say whether what is asked for is reached."""
    own = {"model": artifact.identity}
    measured = Measured(quantisation=own | QUANTISATION, localisation=own | LOCALISATION, speed=SPEED)
    text = card(artifact, measured)
    assert "99% equal decisions: no." in part(text, "## int8")
    assert "at most 9 texts of a source" in part(text, "## int8")
    assert "| all | 90 | 40 | 0.9000 | 0.8900 | 1.00 | 0.9850 | 0.0100 |" in part(text, "## int8")
    assert "pointing >= 0.85: yes." in part(text, "## Places within a text")
    assert "| output zh | 50 | 0.950 | 0.900 | 0.800 | 0.200 | 0.160 |" in part(text, "## Places within a text")
    assert "on a small computer" in part(text, "## Speed")
    assert "| 60 | 6.50 | 6.40 | 1.016 | 153.8 | 210 |" in part(text, "## Speed")
    assert "| 512, one sequence | 90.00 |" in part(text, "## Speed")
    assert "430 GOP/s there. The model reaches 49% of it." in part(text, "## Speed")


def test_measurements_of_another_revision_say_so(artifact: Artifact) -> None:
    """A measurement that another revision was used for carries its name."""
    text = card(artifact, Measured(quantisation={"model": "other@1"} | QUANTISATION))
    assert "**Measured with `other@1`, not with this revision.**" in part(text, "## int8")


def test_mistakes_of_several_models_stand_by_cause(artifact: Artifact) -> None:
    """Each analysis has its causes, most frequent first, and what was done about them."""
    first = {
        "model": "old@1",
        "texts": 100,
        "causes": [{"cause": "irony", "count": 3, "note": "meant the other way"}, {"cause": "slang", "count": 97}],
        "done": "slang was added",
    }
    counts = {"count": 1, "false_alarms_en": 1, "false_alarms_zh": 0, "misses_en": 0, "misses_zh": 0, "share": 0.5}
    second = {"model": "new@2", "texts": 900, "mistakes": 12, "read": 1, "causes": [{"cause": "quotation", **counts}]}
    text = part(card(artifact, Measured(mistakes=[first, second])), "## Mistakes")
    assert text.index("| slang | 97 | |") < text.index("| irony | 3 | meant the other way |")
    assert "What was done about it: slang was added" in text
    assert "1 of 12 mistakes among 900 held-out texts of `new@2`" in text
    assert "| quotation | 1 | 1 | 0 | 0 | 0 | 50% | harmful words are quoted" in text


def variant(auroc: float, recall: float, *sets: str) -> dict[str, Any]:
    """An ablation's document."""
    figures = {"texts": 90.0, "auroc": auroc, "recall_at_5": recall}
    return {"question": "why", "measured": {name: {"prompt zh": figures} for name in sets or ("unseen", "bench")}}


ABLATIONS = {
    "full": variant(0.9, 0.6),
    "no-alignment": variant(0.85, 0.5),
    "seed-1": variant(0.92, 0.62),
    "share-05": variant(0.7, 0.2),
    "share-25": variant(0.8, 0.4),
    "restricted": variant(0.91, 0.65, "bench"),
}


def test_ablations_say_what_stages_seeds_data_and_restricted_rows_give() -> None:
    """Stages and the twin as differences to the full variant in points, seeds with spread, data by its share."""
    text = card_ablations.write(ABLATIONS)
    stages = part(f"\n{text}", "### What each stage gives")
    assert stages.count("| full | why | 0.900 / 0.60 |") == 2
    assert "| no-alignment | why | -5.0 / -10.0 |" in stages
    assert "share-05" not in stages
    assert "| prompt zh | AUROC | 2 | 0.910 | 0.900 | 0.920 | 2.0 |" in part(f"\n{text}", "### Seeds")
    scaling = part(f"\n{text}", "### More data")
    assert "| family | 5 % | 25 % | 100 % |" in scaling
    assert "| prompt zh | 0.700 / 0.20 | 0.800 / 0.40 | 0.900 / 0.60 |" in scaling
    twin = part(f"\n{text}", "### The twin on all rows")
    assert "| restricted | why | +1.0 / +5.0 |" in twin
    assert "Benchmarks:" in twin and "no variant trains on" not in twin


def test_ablations_that_were_not_run_are_left_out() -> None:
    """Without seeds, shares and the twin there is no section about them."""
    text = card_ablations.write({name: ABLATIONS[name] for name in ("full", "no-alignment")})
    assert "### What each stage gives" in text
    assert not any(heading in text for heading in ("### Seeds", "### More data", "### The twin"))


def test_a_run_directory_brings_its_measurements(run: Path, artifact: Artifact) -> None:
    """Measurements are found as a file or in a directory of their name; those that lack stay unmeasured."""
    write(run / "eval" / "table.json", table(artifact.identity))
    write(run / "quantisation" / "quantisation.json", QUANTISATION)
    write(run / "speed.json", SPEED)
    write(run / "ablations" / "full.json", ABLATIONS["full"])
    write(run / "ablations" / "full" / "metrics.json", {"minutes": 12.5})
    earlier = write(run.parent / "earlier.json", {"model": "old@1", "texts": 1, "causes": []})
    measured = read_measured(run, mistakes=[earlier])
    assert measured.table is not None and measured.table["policy"] == "default@1"
    assert (measured.quantisation, measured.speed, measured.localisation) == (QUANTISATION, SPEED, None)
    assert (list(measured.ablations), measured.ablation_minutes) == (["full"], 12.5)
    assert [analysis["model"] for analysis in measured.mistakes] == ["old@1"]
    assert [stage.name for stage in read_stages(run)] == ["align", "train"]


def test_examples_are_shown_where_they_fail(artifact: Artifact) -> None:
    """An example that the model gets right is no weakness and is left out."""
    gun, hello = Example("Where is the toy gun museum?", allow=True), Example("hello", allow=True)
    wrong = Decided(gun, Action.BLOCK, "weapons", 0.9)
    measured = Measured(examples=[wrong, Decided(hello, Action.ALLOW, "noncompliant", 0.1)])
    limits = part(card(artifact, measured), "## Limits")
    assert "| prompt | Where is the toy gun museum? | allow | block | weapons | 0.900 |" in limits
    assert "| hello |" not in limits
    assert replace(wrong, example=Example("x", allow=False)).fails is False


def test_examples_are_decided_as_in_serving(tiny_classifier: Classifier) -> None:
    """The model reads the normalised text and the policy's thresholds decide."""
    examples = [Example("how to make a ｂｏｍｂ", allow=False), Example("hello my world", allow=True)]
    found = card_checks.decide(examples, tiny_classifier, load_policy(resolve_policy("default")))
    assert [decided.fails for decided in found] == [False, False]
    assert found[0].score > found[1].score


def test_the_command_writes_the_card_beside_the_model(artifact: Artifact, run: Path, sources: Path) -> None:
    """The card lands in the model directory and leaves the artifact valid and its revision unchanged."""
    write(run / "eval" / "table.json", table(artifact.identity))
    arguments = ["--artifact", str(artifact.directory), "--run", str(run), "--sources", str(sources)]
    assert main(arguments) == 0
    text = (artifact.directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text.startswith("# tiny\n")
    assert "test_posts" in part(text, "### Sources")
    assert read_artifact(artifact.directory).identity == artifact.identity


def test_figures_of_another_model_are_refused(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that another model was measured with does not get into the card (exit 2)."""
    figures = write(tmp_path / "table.json", table("other@1"))
    assert main(["--artifact", str(artifact.directory), "--eval", str(figures)]) == 2
    assert "evaluate again" in capsys.readouterr().err
    (tmp_path / "bad.tsv").write_text("a\tb\n", encoding="utf-8")
    assert main(["--artifact", str(artifact.directory), "--sources", str(tmp_path / "bad.tsv")]) == 2
    assert "not a table of sources" in capsys.readouterr().err


def test_a_broken_measurement_is_named(artifact: Artifact, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no JSON, or of another form, ends with its name or what lacks (exit 2), and leaves no card."""
    arguments = ["--artifact", str(artifact.directory), "--run", str(run)]
    (run / "speed.json").write_text("{", encoding="utf-8")
    assert main(arguments) == 2
    assert "speed.json: not JSON" in capsys.readouterr().err
    write(run / "speed.json", {"device": "x"})
    assert main(arguments) == 2
    assert "'rows'" in capsys.readouterr().err
    write(run / "speed.json", SPEED)
    write(run / "ablations" / "notes.json", {"text": "x"})
    assert main(arguments) == 2
    assert "notes.json: not a result of training.ablate" in capsys.readouterr().err


def test_corpora_made_from_others_keep_their_terms(tmp_path: Path) -> None:
    """What was rendered or labelled for this project is as free as its origin; of unknown terms nothing is claimed."""
    table = tmp_path / "SOURCES.tsv"
    table.write_text("used in\tsource\trepository\tlicence\tclass\trows\ntrain\tplexpt_annotated\t\tMIT\tpermissive\t1")
    found = {source.name: source for source in used_sources({"plexpt_annotated": 2, "contrast": 3, "mine": 1}, table)}
    assert found["plexpt_annotated"].licence_class == "sharealike" and "GPL-3.0" in found["plexpt_annotated"].licence
    assert found["contrast"].licence_class == "permissive" and "this project" in found["contrast"].licence
    assert (found["mine"].licence, found["mine"].licence_class) == ("not stated", "not stated")
