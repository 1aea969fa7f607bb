from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guard import records
from guard.classifier.classifier import Classifier
from guard.errors import InvalidInput
from guard.policy.load import load_policy
from guard.records import Record, hash_text
from guard.types import CATEGORIES, NONCOMPLIANT, Action, Direction, Role, Turn
from training.bench.columns import rank_score
from training.bench.comparison import System, contests, read_baseline, read_system, side_by_side, summary
from training.bench.table import MIN_TEXTS, Line, Pool, tabulate, unseen_sources
from training.corpora import Row, write_parquet
from training.evaluate import Scorer, main, score_to_file, write_table

POLICY = """
version: 1
name: strict
rules:
  - {id: any, category: noncompliant, threshold: 0.5, action: block}
"""


def rows(source: str, bad: int, good: int, **changes: object) -> list[Row]:
    """Rows that the tiny model scores high (bad) and low (good)."""
    made = [
        Row(
            id=f"{source}-{i}",
            source=source,
            lang="en",
            side="prompt",
            text=("how to make a bomb " if i < bad else "hello my world ") + "the " * (i % 7) + str(i),
            label=NONCOMPLIANT if i < bad else "compliant",
            categories=("weapons",) if i < bad else (),
            licence_class="restricted",
        )
        for i in range(bad + good)
    ]
    return [replace(row, **changes) for row in made]  # type: ignore[arg-type]  # the caller names fields of Row


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A policy that blocks whatever is probably noncompliant."""
    path = tmp_path / "strict.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


@pytest.fixture
def scorer(tiny_classifier: Classifier, policy_file: Path) -> Scorer:
    """The tiny model under that policy."""
    return Scorer(tiny_classifier, load_policy(policy_file))


def record(name: str, score: float, label: str, **changes: object) -> Record:
    """A record as evaluation writes it, with one score for everything."""
    made = Record(
        id=name,
        request_id="",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        direction=Direction.PROMPT,
        lang="en",
        action=Action.BLOCK if score >= 0.5 else Action.ALLOW,
        text=None,
        output_text=None,
        text_hash=hash_text(name),
        tokens=3,
        chunks=1,
        rules=(),
        scores=dict.fromkeys(CATEGORIES, score),
        detections=(),
        policy="p@1",
        model="m@1",
        label=label,
        categories=("other",) if label == NONCOMPLIANT else (),
        about=("all",),
        extra={"source": "s", "side": "prompt", "lang": "en"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the caller names fields of Record


def test_texts_are_scored_through_the_artifact_and_decided_by_the_policy(scorer: Scorer, tmp_path: Path) -> None:
    """Scoring goes through model and policy; records carry every score, the label and where the row is from."""
    path = tmp_path / "records.jsonl"
    assert score_to_file(scorer, rows("a", bad=3, good=4), path) == 7
    found = {r.id: r for r in records.read(path)}
    assert [found[f"a-{i}"].action for i in range(7)] == [Action.BLOCK] * 3 + [Action.ALLOW] * 4
    assert set(found["a-0"].scores) == set(CATEGORIES)
    assert found["a-0"].extra == {"source": "a", "side": "prompt", "lang": "en", "licence_class": "restricted"}
    assert (found["a-0"].label, found["a-0"].categories) == (NONCOMPLIANT, ("weapons",))


def test_no_text_of_a_benchmark_is_written(scorer: Scorer, tmp_path: Path) -> None:
    """Records hold hashes and scores: benchmark texts may not be copied."""
    score_to_file(scorer, rows("a", bad=1, good=1), tmp_path / "records.jsonl")
    assert "bomb" not in (tmp_path / "records.jsonl").read_text(encoding="utf-8")


def test_context_and_side_reach_the_model(scorer: Scorer) -> None:
    """A response is scored as an output with its context, a person's post as a prompt."""
    answer = replace(rows("a", 0, 1)[0], side="response", context=(Turn(Role.USER, "ＨＥＬＬＯ"),))
    post = replace(rows("b", 0, 1)[0], side="content")
    assert [r.direction for r in scorer.score([answer, post])] == [Direction.OUTPUT, Direction.PROMPT]


def test_a_stopped_run_resumes_to_the_same_records(scorer: Scorer, tmp_path: Path) -> None:
    """A second run scores only what is missing, an incomplete last line is scored again."""
    texts = rows("a", bad=5, good=5)
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    score_to_file(scorer, texts, whole)
    score_to_file(scorer, texts[:6], part)
    data = part.read_bytes()
    part.write_bytes(data[: len(data) - 40])
    assert score_to_file(scorer, texts, part, threads=2) == 5

    def scores(path: Path) -> dict[str, object]:
        return {r.id: r.scores for r in records.read(path)}

    assert scores(part) == scores(whole)
    assert score_to_file(scorer, texts, part) == 0


def test_records_of_another_policy_are_not_mixed(scorer: Scorer, tmp_path: Path) -> None:
    """A file that another model or policy wrote is refused instead of continued."""
    path = tmp_path / "records.jsonl"
    score_to_file(scorer, rows("a", 1, 1), path)
    other = replace(scorer, policy=replace(scorer.policy, revision="000000000000"))
    with pytest.raises(InvalidInput, match="another --output"):
        score_to_file(other, rows("a", 2, 2), path)


def test_limited_about_is_ranked_by_its_categories() -> None:
    """Where the label speaks about some categories, the highest of those ranks; otherwise noncompliant does."""
    scores = dict.fromkeys(CATEGORIES, 0.1) | {"hate": 0.3, "harassment": 0.6, NONCOMPLIANT: 0.9}
    assert rank_score(scores, ("all",)) == 0.9
    assert rank_score(scores, ("hate", "harassment")) == 0.6
    assert rank_score(scores, ("hate",)) == 0.3


def line_of(lines: tuple[Line, ...], source: str) -> Line:
    """The line of a source."""
    return next(line for line in lines if line.source == source)


def bench() -> list[Record]:
    """One source of each kind; the benign scores are 0.00, 0.01 ... 0.99 over both sources."""
    mixed = [record(f"x{i}", i / 100, "compliant") for i in range(0, 100, 2)]
    mixed += [record(f"y{i}", s, NONCOMPLIANT) for i, s in enumerate([0.99] * 30 + [0.4] * 10)]
    benign = [record(f"z{i}", i / 100, "compliant") for i in range(1, 100, 2)]
    bad = [record(f"w{i}", 0.97 if i < 15 else 0.2, NONCOMPLIANT) for i in range(20)]
    only = [replace(r, extra={**r.extra, "source": "benign"}) for r in benign]
    return mixed + only + [replace(r, extra={**r.extra, "source": "bad"}) for r in bad]


def test_the_operating_point_has_five_percent_false_alarms_over_the_family() -> None:
    """The threshold is set on all benign texts of a side and language together, not per source."""
    table = tabulate(bench(), samples=0)
    family = table.families[0]
    assert (family.texts, family.positives) == (160, 60)
    assert family.fpr == pytest.approx(0.05)
    assert family.threshold == pytest.approx(0.95, abs=0.01)
    assert {line.threshold for line in table.lines} == {family.threshold}
    assert line_of(table.lines, "benign").fpr == pytest.approx(0.06)
    assert line_of(table.lines, "s").fpr == pytest.approx(0.04)


def test_each_line_has_what_its_classes_allow() -> None:
    """Both classes give rankings; violations alone a recall, benign texts alone a rate of false alarms."""
    table = tabulate(bench(), samples=50)
    mixed, benign, bad = (line_of(table.lines, source) for source in ("s", "benign", "bad"))
    assert mixed.auroc is not None and mixed.auroc_interval is not None
    assert mixed.auroc_interval.low < mixed.auroc < mixed.auroc_interval.high
    assert mixed.recall == 0.75
    assert (bad.auroc, bad.fpr, bad.recall) == (None, None, 0.75)
    assert (benign.auroc, benign.recall) == (None, None)


def test_the_policy_is_measured_by_its_actions() -> None:
    """Any action but allow counts as positive, independent of the operating point."""
    table = tabulate(bench(), samples=0)
    mixed = line_of(table.lines, "s")
    assert mixed.policy_recall == 0.75
    assert mixed.policy_fpr == pytest.approx(0.5)
    assert line_of(table.lines, "benign").policy_fpr == pytest.approx(0.5)


def test_categories_count_only_where_labels_speak() -> None:
    """A category's line has the texts that speak about it: named ones, and texts without any violation."""
    texts = [*bench(), record("h", 0.9, NONCOMPLIANT, categories=("hate",), about=("hate",))]
    found = {line.category: line for line in tabulate(texts, samples=0).categories}
    assert found["hate"].positives == 1
    assert found["hate"].texts == 101
    assert found[NONCOMPLIANT].texts == 161
    assert "crime" not in found


def test_calibration_counts_only_labels_about_everything() -> None:
    """Of labels with a limited about only the violations speak about `noncompliant`: they are left out."""
    texts = [record(f"a{i}", 0.25, NONCOMPLIANT if i < 5 else "compliant") for i in range(20)]
    limited = [record(f"b{i}", 0.25, NONCOMPLIANT, categories=("hate",), about=("hate",)) for i in range(20)]
    (line,) = tabulate([*texts, *limited], samples=0).calibration
    assert (line.texts, line.ece) == (20, 0.0)


def test_small_sources_have_no_line() -> None:
    """A source of a few texts is part of its family but has no line."""
    few = [replace(r, extra={**r.extra, "source": "few"}) for r in bench()[: MIN_TEXTS - 1]]
    table = tabulate(few, samples=0)
    assert table.lines == ()
    assert table.families[0].texts == MIN_TEXTS - 1


def test_unseen_sources_have_a_line_of_their_own() -> None:
    """Sources that the model saw, as labels, as paragraphs or as what a benchmark was made of, are left out of it."""
    table = tabulate(bench(), samples=0, trained_on=("benign", "plain_elsewhere"))
    assert table.unseen == ("bad", "s")
    unseen = line_of(table.families, "*unseen")
    assert (unseen.texts, unseen.positives, unseen.threshold) == (110, 60, table.families[0].threshold)
    assert unseen_sources(["a", "b", "toxicloakcn"], ["plain_a", "toxicn"]) == ("b",)
    everything = tabulate(bench(), samples=0, trained_on=("benign", "bad", "s"))
    assert everything.unseen == () and "*unseen" not in {line.source for line in everything.families}
    assert tabulate(bench(), samples=0).unseen is None


def test_sources_without_violations_have_a_line_together() -> None:
    """False alarms of a family are also counted over the sources that have compliant texts alone."""
    benign = line_of(tabulate(bench(), samples=20).families, "*benign")
    assert (benign.texts, benign.positives, benign.policy_fpr) == (50, 0, 0.5)
    assert benign.policy_fpr_interval is not None
    assert benign.policy_fpr_interval.low < 0.5 < benign.policy_fpr_interval.high


def test_a_pool_has_its_own_operating_point() -> None:
    """A pool sets violations of some sources against benign texts of others, and wants all of them."""
    pool = Pool("hard", "prompt", "en", harmful=("bad",), benign=("benign",))
    line = line_of(tabulate(bench(), samples=20, pools=[pool]).families, "*hard")
    assert (line.texts, line.positives) == (70, 20)
    # Of the 50 benign texts two may be false alarms: 0.99 and 0.97.
    assert line.threshold == pytest.approx(0.95)
    assert line.fpr == 0.04
    assert line.recall == line.recall_at_5 == 0.75
    assert line.recall_at_5_interval is not None
    lacking = replace(pool, harmful=("bad", "absent"))
    assert [x.source for x in tabulate(bench(), samples=0, pools=[lacking]).families] == ["*", "*benign"]


def test_a_system_with_its_own_threshold_keeps_it() -> None:
    """A given operating point replaces the one of 5 % false alarms, on every line."""
    table = tabulate(bench(), samples=0, threshold=0.5)
    assert {line.threshold for line in (*table.lines, *table.families)} == {0.5}
    assert line_of(table.lines, "bad").recall == line_of(table.lines, "bad").policy_recall


def test_false_alarms_are_counted_by_length() -> None:
    """Compliant texts whose label speaks about everything, per language and side, by their number of tokens."""
    texts = [record(f"a{i}", score, "compliant", tokens=n) for i, (score, n) in enumerate([(0.9, 32), (0.1, 1)])]
    texts += [record("b", 0.9, "compliant", tokens=513), record("c", 0.9, NONCOMPLIANT, tokens=5)]
    texts += [record("d", 0.9, "compliant", tokens=5, about=("hate",)), record("e", 0.9, "compliant", tokens=0)]
    lines = tabulate(texts, samples=0).lengths
    found = {(x.side, x.lang, x.shortest, x.longest): (x.texts, x.alarms) for x in lines}
    assert found == {
        ("*", "en", 1, 32): (2, 1),
        ("*", "en", 513, None): (1, 1),
        ("prompt", "en", 1, 32): (2, 1),
        ("prompt", "en", 513, None): (1, 1),
    }


BASELINE = """
what it is: a comment
prompt   en s            n=   90 AUPRC=0.500 AUROC=0.600 F1=0.5 FPR=0.100 R=0.300
prompt   en bad          n=   20 recall=0.750
prompt   en benign       n=   50 FPR=0.010
prompt   en elsewhere    n=   50 FPR=0.010
"""


def test_a_baseline_is_compared_line_by_line(tmp_path: Path) -> None:
    """AUROC decides between both classes, recall or false alarms where there is one; ties are neither won nor lost."""
    path = tmp_path / "baseline.txt"
    path.write_text(BASELINE, encoding="utf-8")
    baseline = read_baseline(path)
    assert baseline["prompt", "en", "s"].figures == {"auprc": 0.5, "auroc": 0.6, "f1": 0.5, "fpr": 0.1, "recall": 0.3}
    results = contests(tabulate(bench(), samples=0).lines, baseline)
    assert {c.key[2]: (c.figure, c.outcome) for c in results} == {
        "s": ("auroc", "win"),
        "bad": ("recall", "tie"),
        "benign": ("fpr", "loss"),
    }
    assert summary(results) == {
        "lines": 3,
        "wins": 1,
        "ties": 1,
        "losses": 1,
        "share_won": pytest.approx(1 / 3),
        "share_not_lost": pytest.approx(2 / 3),
    }
    path.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no line of the form"):
        read_baseline(path)


def test_the_table_is_a_function_of_the_records(tmp_path: Path) -> None:
    """A records file alone gives the table as Markdown and JSON, the same every time."""
    path = tmp_path / "records.jsonl"
    path.write_text("".join(r.to_json() + "\n" for r in bench()), encoding="utf-8")
    (tmp_path / "baseline.txt").write_text(BASELINE, encoding="utf-8")
    first = write_table(path, tmp_path / "a", baseline=tmp_path / "baseline.txt", samples=20)
    assert first == write_table(path, tmp_path / "b", baseline=tmp_path / "baseline.txt", samples=20)
    assert "| prompt | en | bad | 20 | 20 |" in first
    assert "recall 0.750 tie" in first
    document = json.loads((tmp_path / "a" / "table.json").read_text(encoding="utf-8"))
    assert document["model"] == "m@1"
    assert document["summary"]["lines"] == 3
    assert [line["source"] for line in document["lines"]] == ["bad", "benign", "s"]


def test_other_systems_stand_in_columns(tmp_path: Path) -> None:
    """Another run's table is a column with its intervals, and says over how many texts where that differs."""
    ours, theirs = bench(), [replace(r, model="n@1") for r in bench() if r.id != "x0"]
    for name, texts in (("ours", ours), ("theirs", theirs)):
        (tmp_path / f"{name}.jsonl").write_text("".join(r.to_json() + "\n" for r in texts), encoding="utf-8")
    (tmp_path / "baseline.txt").write_text(BASELINE, encoding="utf-8")
    write_table(tmp_path / "theirs.jsonl", tmp_path / "theirs", trained_on=["bad"], samples=20)
    other = read_system(f"theirs={tmp_path / 'theirs'}")
    markdown = write_table(
        *(tmp_path / "ours.jsonl", tmp_path / "ours"),
        baseline=tmp_path / "baseline.txt",
        compare=[other],
        trained_on=["bad"],
        samples=20,
    )
    assert "| side | lang | source | n | pos | measure | n-gram | theirs | this model |" in markdown
    assert "| prompt | en | bad | 20 | 20 | recall, family's 5 % point | 0.750 | 0.750 | 0.750 |" in markdown
    document = json.loads((tmp_path / "ours" / "table.json").read_text(encoding="utf-8"))
    assert [system["model"] for system in document["systems"]] == ["", "n@1", "m@1"]
    rows = {(tuple(row["key"])[2], row["measure"]): row["figures"] for row in document["comparisons"]["families"]}
    ngram, them, us = rows["*", "auroc"]
    assert ngram is None and (them["texts"], us["texts"]) == (159, 160)
    assert them["interval"][0] < them["value"] < them["interval"][1]
    assert "(n=159)" in markdown
    assert rows["*unseen", "auroc"][1] is not None


def test_lines_over_different_unseen_sources_are_not_compared(tmp_path: Path) -> None:
    """Two models' own unseen sources are different benchmarks, so the other's figure stays out."""
    (tmp_path / "r.jsonl").write_text("".join(r.to_json() + "\n" for r in bench()), encoding="utf-8")
    systems = []
    for name in ("bad", "benign"):
        write_table(tmp_path / "r.jsonl", tmp_path / name, trained_on=[name], samples=0)
        systems.append(read_system(f"{name}={tmp_path / name}"))
    families = systems[-1].table["families"]
    rows = {(row.key[2], row.measure): row.figures for row in side_by_side(families, systems)}
    assert rows["*unseen", "auroc"][0] is None and rows["*unseen", "auroc"][1] is not None
    assert None not in rows["*", "auroc"]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """A column needs a name and the document of a run."""
    with pytest.raises(ValueError, match="not NAME=PATH"):
        read_system(str(tmp_path))
    (tmp_path / "table.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"not a table\.json"):
        read_system(f"a={tmp_path}")
    assert System.of_table("a", {"lines": [], "families": []}).unseen is None


def test_records_of_two_models_have_no_table(tmp_path: Path) -> None:
    """Records of several models or policies are not averaged into one table."""
    path = tmp_path / "records.jsonl"
    two = [record("a", 0.1, "compliant"), record("b", 0.1, "compliant", model="n@1")]
    path.write_text("".join(r.to_json() + "\n" for r in two), encoding="utf-8")
    with pytest.raises(InvalidInput, match="2 of them"):
        write_table(path, tmp_path)


def test_the_command_scores_and_prints(
    tmp_path: Path, tiny_model_dir: Path, policy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a directory of benchmarks, a model and a policy to records and tables; the records alone do as well."""
    write_parquet(tmp_path / "bench" / "a.parquet", rows("a", bad=12, good=15))
    write_parquet(tmp_path / "bench" / "b.parquet", rows("b", bad=0, good=30, lang="zh"))
    output = tmp_path / "eval"
    model = ["--model", str(tiny_model_dir), "--policy", str(policy_file)]
    common = ["--output", str(output), "--bootstrap", "20"]
    assert main(["--data", str(tmp_path / "bench"), *model, *common, "--limit-per-source", "25"]) == 0
    assert len(list(records.read(output / "records.jsonl"))) == 50
    printed = capsys.readouterr().out
    assert "| prompt | en | a | 25 |" in printed
    assert "| prompt | zh | b | 25 | 0 |" in printed
    assert main(["--records", str(output / "records.jsonl"), *common]) == 0
    assert capsys.readouterr().out == printed
    assert "- sources that the model was not trained on: a, b" in printed
    assert main(["--records", str(output / "records.jsonl"), *common, "--compare", "tiny"]) == 2
    assert "not NAME=PATH" in capsys.readouterr().err


def test_bad_input_is_exit_two(tmp_path: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing directory, model or policy is one line on stderr and exit code 2."""
    common = ["--output", str(tmp_path / "eval")]
    assert main(["--data", str(tmp_path), *common, "--model", str(tiny_model_dir)]) == 2
    assert "no *.parquet file" in capsys.readouterr().err
    write_parquet(tmp_path / "bench" / "a.parquet", rows("a", 1, 1))
    assert main(["--data", str(tmp_path / "bench"), *common, "--model", str(tmp_path)]) == 2
    assert "artifact.json" in capsys.readouterr().err
    assert main(["--data", str(tmp_path / "bench"), *common, "--model", str(tiny_model_dir), "--policy", "nope"]) == 2
    assert "no such policy" in capsys.readouterr().err
