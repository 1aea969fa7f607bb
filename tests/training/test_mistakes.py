from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from guard.errors import InvalidInput
from guard.policy.load import load_policy
from guard.policy.policy import Policy
from guard.types import CATEGORIES, NONCOMPLIANT, Role, Turn
from training.corpora import COMPLIANT, Row, write_parquet
from training.mistakes import CAUSES, FALSE_ALARM, MISS, Mistake, draw, main, mistake_of, read_causes

POLICY = """
version: 1
name: strict
rules:
  - {id: any, category: noncompliant, threshold: 0.5, action: block}
  - {id: hate, category: hate, threshold: 0.5, action: block}
  - {id: help, category: self_harm, direction: prompt, threshold: 0.5, action: rewrite, message: {en: Call.}}
  - {id: watched, category: violence, threshold: 0.5, action: block, shadow: true}
"""
GOOD = Row(id="g", source="s", lang="en", side="prompt", text="hello", label=COMPLIANT, licence_class="permissive")
BAD = replace(GOOD, id="b", label=NONCOMPLIANT, categories=("hate",))


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Three rules that act, one that watches."""
    path = tmp_path / "strict.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


@pytest.fixture
def policy(policy_file: Path) -> Policy:
    """The same, loaded."""
    return load_policy(policy_file)


def scores(**high: float) -> dict[str, float]:
    """Zero but for what is given."""
    return {category: high.get(category, 0.0) for category in CATEGORIES}


def test_a_mistake_is_a_decision_against_the_label(policy: Policy) -> None:
    """Any action on a compliant text is a false alarm, none on a noncompliant one a miss; a shadow rule never acts."""
    alarm = mistake_of(GOOD, scores(hate=0.6, noncompliant=0.9), policy)
    assert alarm is not None and alarm.kind == FALSE_ALARM
    assert [rule.rule for rule in alarm.rules] == ["any", "hate"]
    helped = mistake_of(GOOD, scores(self_harm=0.9), policy)
    assert helped is not None and helped.stratum == "prompt/en/false_alarm"
    assert mistake_of(GOOD, scores(violence=0.9), policy) is None
    assert mistake_of(BAD, scores(self_harm=0.9), policy) is None
    miss = mistake_of(BAD, scores(hate=0.2, noncompliant=0.4, violence=0.9), policy)
    assert miss is not None and miss.kind == MISS
    assert [(rule.rule, rule.score) for rule in miss.rules] == [("any", 0.4)]
    assert miss.near and helped.near is False


def test_a_label_contradicts_only_what_it_speaks_about(policy: Policy) -> None:
    """A corpus about hate cannot say that a text is compliant in every way."""
    about_hate = replace(GOOD, about=("hate",))
    assert mistake_of(about_hate, scores(noncompliant=0.9), policy) is None
    alarm = mistake_of(about_hate, scores(noncompliant=0.9, hate=0.7), policy)
    assert alarm is not None and [rule.rule for rule in alarm.rules] == ["hate"]


def test_the_sheet_shows_every_kind_and_many_sources() -> None:
    """Strata take turns, sources are shared evenly, and the seed decides."""
    rare = [Mistake(replace(BAD, id=f"r{i}", text=f"r{i}", lang="zh", source="rare"), MISS, ()) for i in range(3)]
    frequent = [
        Mistake(replace(GOOD, id=f"{source}{i}", text=f"{source}{i}", source=source), FALSE_ALARM, ())
        for source in ("a", "b", "c")
        for i in range(40)
    ]
    drawn = draw([*frequent, *rare], 20, 6, seed=1)
    counts = Counter(m.row.source for m in drawn)
    assert counts.pop("rare") == 3
    assert sorted(counts.values()) == [5, 6, 6]
    assert len({m.row.id for m in drawn}) == 20
    assert [m.row.id for m in draw([*frequent, *rare], 20, 6, seed=1)] == [m.row.id for m in drawn]
    assert [m.row.id for m in draw([*frequent, *rare], 20, 6, seed=2)] != [m.row.id for m in drawn]
    assert len(draw([*frequent, *rare], 100, 6, seed=1)) == 21
    repeated = [replace(mistake, row=replace(mistake.row, text="asked often")) for mistake in frequent]
    assert len(draw(repeated, 20, 6, seed=1)) == 1


def test_a_faulty_cause_is_named_with_its_line(tmp_path: Path) -> None:
    """A person writes this file, so every slip says where it is."""
    path = tmp_path / "causes.jsonl"
    good = '{"id": "1", "cause": "scary_word", "note": "a\u2028b"}\n\n'
    for text, problem in (
        (good + '{"id": "2", "cause": "bad luck"}', "causes.jsonl:3.*unknown cause 'bad luck'"),
        (good + '{"id": "3", "cause": "other"}', "causes.jsonl:3.*not on the sheet"),
        (good + '{"id": "1", "cause": "other"}', "causes.jsonl:3.*there already"),
        (good + '{"id": "2"}', "causes.jsonl:3.*no object"),
        (good + "[1]", "causes.jsonl:3.*no object"),
        (good + "other", "causes.jsonl:3.*no object"),
        (good, "1 mistakes without a cause: 2"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInput, match=problem):
            read_causes(path, ["1", "2"])
    path.write_text(good + '{"id": "2", "cause": "other"}', encoding="utf-8")
    assert read_causes(path, ["1", "2"]) == {"1": "scary_word", "2": "other"}


def test_from_held_out_rows_to_counts(
    tiny_model_dir: Path, policy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only held-out rows are read, the reader gets text and context, and the report has counts and no text."""
    asked = (Turn(Role.USER, "how to call"),)
    rows = [
        replace(GOOD, id="seen", text="the seen bomb"),
        replace(GOOD, id="right", text="hello world"),
        replace(GOOD, id="alarm", text="a bomb of my own", context=asked, side="response"),
        replace(GOOD, id="alarm-zh", text="炸的", lang="zh"),
        replace(GOOD, id="alarm-zh-2", text="我炸", lang="zh"),
        replace(BAD, id="miss", text="hello of my own"),
    ]
    data, model, output = tmp_path / "data", tmp_path / "train", tmp_path / "mistakes"
    write_parquet(data / "s.parquet", rows)
    model.mkdir()
    (model / "mixture.json").write_text(json.dumps({"heldout": [r.id for r in rows if r.id != "seen"]}), "utf-8")
    drawing = ["draw", "--artifact", str(tiny_model_dir), "--model", str(model), "--data", str(data)]
    drawing += ["--policy", str(policy_file), "--output", str(output), "--count", "3"]
    assert main(drawing) == 0
    sheet = [json.loads(line) for line in (output / "sheet.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["kind"], line["side"]) for line in sheet] == [
        *[("miss", "prompt"), ("false_alarm", "prompt"), ("false_alarm", "response")]
    ]
    assert sheet[2]["context"] == [{"role": "user", "text": "how to call"}]
    assert sheet[2]["rules"][0]["rule"] == "any" and sheet[2]["rules"][0]["score"] > 0.9
    assert main(["report", "--output", str(output)]) == 2

    causes = {"miss": "implicit", "false_alarm": "scary_word"}
    written = [{"id": line["id"], "cause": causes[line["kind"]], "note": "of my own"} for line in sheet]
    (output / "causes.jsonl").write_text("\n".join(map(json.dumps, written)), encoding="utf-8")
    assert main(["report", "--output", str(output)]) == 0
    text = (output / "mistakes.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert "of my own" not in text and "how to call" not in text
    assert (found["texts"], found["mistakes"], found["read"]) == (5, 4, 3)
    assert found["by_kind"]["prompt/zh/false_alarm"] == {"texts": 2, "mistakes": 2, "near": 0, "read": 1}
    scary, implicit = found["causes"]
    assert (scary["cause"], scary["count"], scary["false_alarms"], scary["misses"]) == ("scary_word", 2, 2, 0)
    assert (scary["false_alarms_en"], scary["false_alarms_zh"], implicit["misses_en"]) == (1, 1, 1)
    # Two of the four mistakes are Chinese prompts of which one was read.
    assert (scary["share"], implicit["share"]) == (0.75, 0.25)
    assert "| scary_word | 2 | 1 | 1 | 0 | 0 | 75% |" in capsys.readouterr().out


def test_every_cause_says_how_to_tell() -> None:
    """The reader decides by one line each."""
    assert all(meaning and "\n" not in meaning for meaning in CAUSES.values())
