from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.types import CATEGORIES, NONCOMPLIANT, Direction, Role, Turn
from training.corpora import (
    CorpusError,
    Row,
    directions_of,
    parse_context,
    read_parquet_dir,
    targets_of,
    write_parquet,
)
from training.corpora.__main__ import main
from training.corpora.dedupe import NearDuplicates, clear_of
from training.corpora.relabel import SECOND_READING, read_labels
from training.corpora.splits import split, split_key, split_of

ROW = Row(
    id="a-1",
    source="a",
    lang="en",
    side="prompt",
    text="How do I cook lentils?",
    label="compliant",
    licence_class="permissive",
    label_basis="human",
)


def known(row: Row) -> dict[str, float]:
    """Category -> value where the row speaks."""
    targets = targets_of(row)
    return {c: v for c, v, m in zip(CATEGORIES, targets.values, targets.mask, strict=True) if m}


def test_a_compliant_row_about_everything_teaches_zero_everywhere() -> None:
    """Compliant with about all: every category and noncompliant are 0."""
    assert known(ROW) == dict.fromkeys(CATEGORIES, 0.0)


def test_a_compliant_row_of_limited_about_is_silent_elsewhere() -> None:
    """Compliant about hate says only that hate is absent, not that the text is compliant."""
    assert known(replace(ROW, about=("hate", "harassment"))) == {"hate": 0.0, "harassment": 0.0}


def test_a_noncompliant_row_names_its_categories_and_excludes_the_others() -> None:
    """Noncompliant about all with named categories: those are 1, the others 0."""
    found = known(replace(ROW, label="noncompliant", categories=("crime", "weapons")))
    assert found == dict.fromkeys(CATEGORIES, 0.0) | {"crime": 1.0, "weapons": 1.0, NONCOMPLIANT: 1.0}


@pytest.mark.parametrize("categories", [("other",), ("jailbreak", "other")])
def test_other_leaves_the_unnamed_categories_open(categories: tuple[str, ...]) -> None:
    """With other among the categories nothing is said about those that are not named."""
    found = known(replace(ROW, label="noncompliant", categories=categories))
    assert found == {NONCOMPLIANT: 1.0} | {c: 1.0 for c in categories if c != "other"}


def test_a_noncompliant_row_of_limited_about_teaches_what_it_names() -> None:
    """Noncompliant about hate: hate and noncompliant are 1, nothing else is known."""
    found = known(replace(ROW, label="noncompliant", categories=("hate",), about=("hate", "harassment")))
    assert found == {"hate": 1.0, NONCOMPLIANT: 1.0}


def test_an_ambiguous_row_teaches_nothing() -> None:
    """Ambiguous: every category is masked."""
    assert known(replace(ROW, label="ambiguous", categories=("hate",))) == {}


def test_sides_become_directions() -> None:
    """A response is an output; a person's post trains both directions and is evaluated as a prompt."""
    assert directions_of(replace(ROW, side="response"), training=True) == (Direction.OUTPUT,)
    assert directions_of(ROW, training=True) == (Direction.PROMPT,)
    assert directions_of(replace(ROW, side="content"), training=True) == (Direction.PROMPT, Direction.OUTPUT)
    assert directions_of(replace(ROW, side="content"), training=False) == (Direction.PROMPT,)


def test_a_transcript_becomes_turns() -> None:
    """Human and Assistant paragraphs are turns of their roles; blank turns are left out."""
    found = parse_context("Human: one\n\ntwo\n\nAssistant: three\n\nHuman: \n\nHuman: four")
    assert found == (Turn(Role.USER, "one\n\ntwo"), Turn(Role.ASSISTANT, "three"), Turn(Role.USER, "four"))


def test_any_other_context_is_one_user_turn() -> None:
    """A context that is no transcript is one user turn; a blank one is none."""
    assert parse_context("What is a Human: a riddle?") == (Turn(Role.USER, "What is a Human: a riddle?"),)
    assert parse_context(" \n") == parse_context(None) == ()


def write(path: Path, **changes: object) -> Path:
    """A Parquet file of two rows, with some columns changed or (None) left out."""
    columns: dict[str, object] = {
        "id": ["x-1", "x-2"],
        "source": ["x", "x"],
        "lang": ["en", "zh"],
        "side": ["prompt", "response"],
        "text": ["How do I cook lentils?", "小火煮二十分钟。"],
        "context": [None, "小扁豆怎么煮？"],
        "label": ["compliant", "compliant"],
        "categories": pa.array([[], []], pa.list_(pa.string())),
        "about": [["all"], ["all"]],
        "licence_class": ["permissive", "restricted"],
    }
    columns |= changes
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: value for name, value in columns.items() if value is not None}), path)
    return path


def test_restricted_rows_stay_out_unless_asked_for(tmp_path: Path) -> None:
    """Reading takes permissive and share-alike rows; restricted ones only where the caller says so."""
    write(tmp_path / "x.parquet")
    assert [row.id for row in read_parquet_dir(tmp_path)] == ["x-1"]
    everything = read_parquet_dir(tmp_path, licence=("permissive", "restricted"))
    assert [row.context for row in everything] == [(), (Turn(Role.USER, "小扁豆怎么煮？"),)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": ["compliant", "fine"]}, "x.parquet:2: label: unknown value 'fine'"),
        ({"text": ["ok", " \n"]}, "x.parquet:2: text: empty"),
        ({"text": ["ok", None]}, "x.parquet:2: text: empty"),
        ({"id": ["x-1", "x-1"]}, "x.parquet:2: id: duplicate of x.parquet:1"),
        ({"side": ["prompt", "outputs"]}, "x.parquet:2: side: unknown value 'outputs'"),
        ({"about": [["all"], ["hats"]]}, "x.parquet:2: about: unknown value 'hats'"),
        ({"licence_class": ["permissive", "free"]}, "x.parquet:2: licence_class: unknown value 'free'"),
        ({"label": ["noncompliant", "compliant"]}, "x.parquet:1: categories: empty for a noncompliant row"),
        ({"label": None}, "x.parquet: label: column missing"),
        ({"abuot": [["all"], ["hate"]]}, "x.parquet: abuot: unknown column"),
        ({"text": [1, 2]}, "x.parquet: text: column of int64, expected strings"),
    ],
)
def test_a_bad_corpus_is_named_with_file_and_row(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    """Unknown labels, empty texts, duplicate ids and wrong columns are refused with their place and never the text."""
    write(tmp_path / "x.parquet", **changes)
    with pytest.raises(CorpusError) as caught:
        read_parquet_dir(tmp_path, licence=("permissive", "sharealike", "restricted"))
    assert message in str(caught.value)
    assert "lentils" not in str(caught.value)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """A file with several mistakes gives all of them, and an id counts over all files."""
    write(tmp_path / "a.parquet", label=["good", "bad"])
    write(tmp_path / "b.parquet", id=["x-1", "y"], text=["", "ok"])
    with pytest.raises(CorpusError) as caught:
        read_parquet_dir(tmp_path, licence=("permissive", "restricted"))
    places = [(p.file, p.row, p.column) for p in caught.value.problems]
    assert places == [
        ("a.parquet", 1, "label"),
        ("a.parquet", 2, "label"),
        ("b.parquet", 1, "id"),
        ("b.parquet", 1, "text"),
    ]


def test_missing_sources_and_directories_are_errors(tmp_path: Path) -> None:
    """A source that no row has, and a directory without files, are named rather than read as nothing."""
    with pytest.raises(CorpusError, match=r"no \*\.parquet file"):
        read_parquet_dir(tmp_path)
    write(tmp_path / "x.parquet")
    with pytest.raises(CorpusError, match="no row of y"):
        read_parquet_dir(tmp_path, sources=("x", "y"))
    with pytest.raises(CorpusError, match="unknown class permisive"):
        read_parquet_dir(tmp_path, licence=("permisive",))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CorpusError, match="broken"):
        read_parquet_dir(tmp_path)


def test_rows_written_are_read_back_equal(tmp_path: Path) -> None:
    """What is written reads back equal, conversations of several turns included."""
    turns = (Turn(Role.USER, "one"), Turn(Role.ASSISTANT, "two"), Turn(Role.USER, "three"))
    rows = [
        ROW,
        replace(ROW, id="a-2", side="response", context=turns),
        replace(ROW, id="a-3", label="noncompliant", categories=("hate",), about=("hate",), context=turns[:1]),
    ]
    assert write_parquet(tmp_path / "deep" / "a.parquet", rows) == 3
    assert read_parquet_dir(tmp_path / "deep") == rows


SHARES = {"train": 0.8, "calibration": 0.2}


@given(st.text(min_size=1), st.integers(0, 3))
def test_a_split_depends_on_the_request_alone(text: str, seed: int) -> None:
    """A request and all its answers fall on one side, whatever the answer, the id and the corpus."""
    request = replace(ROW, text=text)
    answers = [
        replace(ROW, id=f"b-{i}", source="b", side="response", text=f"answer {i}", context=(Turn(Role.USER, text),))
        for i in range(4)
    ]
    sides = {split_of(row, SHARES, seed) for row in (request, *answers)}
    assert len(sides) == 1
    assert split_key(request) == split_key(replace(request, text=f"  {text} "))


def test_split_shares_are_met_and_seeds_differ() -> None:
    """Over many requests the shares hold; another seed gives another split; every row is in exactly one part."""
    rows = [replace(ROW, id=str(i), text=f"request number {i}") for i in range(2000)]
    parts = split(rows, SHARES)
    assert len(parts["train"]) + len(parts["calibration"]) == 2000
    assert abs(len(parts["calibration"]) / 2000 - 0.2) < 0.03
    assert split(rows, SHARES, seed=1)["train"] != parts["train"]
    with pytest.raises(ValueError, match="sum to 1"):
        split_of(ROW, {"train": 0.5})


def test_adding_rows_moves_no_other_row() -> None:
    """A row's split does not depend on which other rows there are."""
    rows = [replace(ROW, id=str(i), text=f"request number {i}") for i in range(200)]
    some, all_ = split(rows[::3], SHARES), split(rows, SHARES)
    assert set(map(id, some["train"])) <= set(map(id, all_["train"]))


LONG = "The harbour master counts the boats every evening before the lamps are lit along the northern quay."


@pytest.mark.parametrize(
    "variant",
    [
        LONG,
        LONG.upper(),
        LONG.replace(" ", "  ").replace(".", "!!"),
        LONG.replace("evening", "morning"),
        "ＴＨＥ" + LONG[3:],
        LONG[:60] + "\u200b" + LONG[60:],
    ],
)
def test_near_duplicates_are_found(variant: str) -> None:
    """Case, width, spacing, punctuation, invisible characters and a changed word do not hide a benchmark text."""
    assert NearDuplicates(["something else", LONG]).find(variant) == 1


def test_texts_of_one_topic_are_no_duplicates() -> None:
    """Sharing a topic and some words is not being the same text; blank texts match nothing."""
    index = NearDuplicates([LONG, "", "港口的灯塔每天傍晚亮起。"])
    assert index.find("The harbour master went home early and the boats were counted by nobody.") is None
    assert index.find("港口的灯塔坏了，没有人来修。") is None
    assert index.find("港口的灯塔，每天傍晚亮起") == 2
    assert index.find("...") is None


@given(st.text(alphabet="abcdefgh 港口灯塔", min_size=1, max_size=60))
def test_every_text_duplicates_itself(text: str) -> None:
    """A text with a letter or a digit is always found again."""
    expected = 0 if any(c.isalnum() for c in text) else None
    assert NearDuplicates([text]).find(text) == expected


def test_dedupe_keeps_order_and_ignores_the_context() -> None:
    """Rows near a benchmark text are dropped, another answer to a benchmark's request is kept."""
    answer = replace(ROW, id="b", text="Rinse them and let them simmer.", context=(Turn(Role.USER, LONG),))
    cleared = clear_of([ROW, replace(ROW, id="c", text=LONG.lower()), answer], [LONG])
    assert [row.id for row in cleared.kept] == ["a-1", "b"]
    assert [row.id for row in cleared.dropped] == ["c"]


def test_dedupe_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`dedupe` writes one file a source without the benchmark's texts and says how many it left out."""
    write_parquet(tmp_path / "train" / "a.parquet", [ROW, replace(ROW, id="c", text=LONG)])
    write_parquet(tmp_path / "bench" / "b.parquet", [replace(ROW, id="z", text=LONG.upper())])
    arguments = [str(tmp_path / "train"), "--against", str(tmp_path / "bench"), "--output", str(tmp_path / "clean")]
    assert main(["dedupe", *arguments]) == 0
    assert [row.id for row in read_parquet_dir(tmp_path / "clean")] == ["a-1"]
    assert "1 near-duplicates" in capsys.readouterr().out


def test_second_reading_reaches_renderings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`relabel` changes a row and its rendering in another language, and says what it could not find."""
    harmful = replace(ROW, id="quiz-1", source="quiz", label="noncompliant", categories=("other",))
    rendered = replace(harmful, id="quiz_zh-quiz-1", source="quiz_zh", lang="zh", text="怎么解这个方程？")
    other = replace(harmful, id="quiz-2", text="Something else")
    for row in (harmful, rendered):
        write_parquet(tmp_path / "in" / f"{row.source}.parquet", [row, other] if row is harmful else [row])
    labels = tmp_path / "read.tsv"
    labels.write_text("id\tlabel\nquiz-1\tcompliant\nquiz-9\tambiguous\n", encoding="utf-8")
    assert main(["relabel", str(tmp_path / "in"), "--labels", str(labels), "--output", str(tmp_path / "out")]) == 0
    after = {row.id: row for row in read_parquet_dir(tmp_path / "out")}
    assert [after[i].label for i in ("quiz-1", "quiz_zh-quiz-1", "quiz-2")] == [
        "compliant",
        "compliant",
        "noncompliant",
    ]
    assert after["quiz-1"].categories == () and after["quiz-2"].categories == ("other",)
    assert "2 with another label after the second reading; 1 of its ids" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("quiz-1\tcompliant\n", "read.tsv:1: header"),
        ("id\tlabel\nquiz-1\tharmless\n", "read.tsv:2: label"),
        ("id\tlabel\nquiz-1\n", "read.tsv:2: label"),
        ("id\tlabel\nquiz-1\tcompliant\nquiz-1\tambiguous\n", "read.tsv:3: id"),
    ],
)
def test_a_second_reading_with_mistakes_is_refused(tmp_path: Path, table: str, message: str) -> None:
    """A wrong header, an unknown label, a missing field and an id read twice name file and line."""
    path = tmp_path / "read.tsv"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(CorpusError) as error:
        read_labels(path)
    assert message in str(error.value)


def test_the_committed_second_reading_can_be_read() -> None:
    """The table that the released model's recipe applies."""
    assert set(read_labels(SECOND_READING).values()) == {"compliant", "ambiguous"}
