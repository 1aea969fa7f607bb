from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.types import Role, Turn
from training.corpora import CorpusError, read_parquet_dir
from training.corpora.__main__ import main
from training.corpora.columns import Columns
from training.corpora.files import read_file, read_hub, read_unlabelled

SMOKE = Path(__file__).parents[2] / "training" / "runs" / "smoke"
COLUMNS = Columns.parse(
    maps=["text=body", "label=toxic", "side=who"],
    constants=["licence_class=permissive", "source=mine"],
    labels=["1=noncompliant", "0=compliant"],
)


def jsonl(path: Path, *records: object) -> Path:
    """A JSONL file; a string is written as it is."""
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_jsonl_with_a_column_map(tmp_path: Path) -> None:
    """Columns, fixed values and label meanings are mapped; the rest has its documented defaults."""
    path = jsonl(
        tmp_path / "mine.jsonl",
        {"body": "今天合唱团在雨里唱歌。", "toxic": 0},
        "",
        {"id": "q7", "body": "You worthless dirt.", "toxic": 1, "categories": "harassment; hate", "who": "output"},
        {
            "body": "Bad.",
            "toxic": 1,
            "context": [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "?"}],
        },
    )
    first, second, third = read_file(path, COLUMNS)
    assert (first.id, first.source, first.lang, first.side, first.label) == (
        "mine-1",
        "mine",
        "zh",
        "prompt",
        "compliant",
    )
    assert (first.about, first.categories) == (("all",), ())
    assert (second.id, second.side, second.categories) == ("q7", "response", ("harassment", "hate"))
    assert (third.id, third.categories) == ("mine-4", ("other",))
    assert third.context == (Turn(Role.USER, "Hello"), Turn(Role.ASSISTANT, "?"))


def test_csv_with_a_byte_order_mark_and_line_breaks(tmp_path: Path) -> None:
    """A spreadsheet's CSV (byte order mark, quoted line breaks) reads as the same rows as its TSV."""
    header, cells = ["body", "toxic"], ["one,\ntwo", "0"]
    (tmp_path / "a.csv").write_text('\ufeff"body","toxic"\n"one,\ntwo",0\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text("\t".join(header) + '\n"one,\ntwo"\t0\n', encoding="utf-8")
    rows = [read_file(tmp_path / name, COLUMNS)[0] for name in ("a.csv", "a.tsv")]
    assert rows[0] == rows[1]
    assert rows[0].text == cells[0]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{broken", "mine.jsonl:2: record: not JSON"),
        ('["list"]', "mine.jsonl:2: record: not a JSON object"),
        ({"toxic": 1}, "mine.jsonl:2: text: no value in column 'body'"),
        ({"body": "secret words", "toxic": "maybe"}, "mine.jsonl:2: label: unknown value 'maybe'"),
        ({"body": "secret words"}, "mine.jsonl:2: label: no value in column 'toxic'"),
        ({"body": "secret words", "toxic": 1, "categories": ["haet"]}, "categories: unknown value 'haet'"),
        ({"body": "secret words", "toxic": 1, "context": [{"who": "me"}]}, "mine.jsonl:2: context: not a conversation"),
        ({"id": "mine-1", "body": "secret words", "toxic": 0}, "mine.jsonl:2: id: duplicate of mine.jsonl:1"),
    ],
)
def test_mistakes_are_named_with_file_line_and_cure(tmp_path: Path, record: object, message: str) -> None:
    """Every mistake of an own file is one line with its place and a cure, and never quotes the text."""
    path = jsonl(tmp_path / "mine.jsonl", {"body": "fine", "toxic": 0}, record)
    with pytest.raises(CorpusError) as caught:
        read_file(path, COLUMNS)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_licence_must_be_stated(tmp_path: Path) -> None:
    """Without a licence class nothing is assumed: the error says how to state one."""
    path = jsonl(tmp_path / "mine.jsonl", {"text": "fine", "label": "compliant"})
    with pytest.raises(CorpusError, match="--set licence_class=VALUE"):
        read_file(path)


@pytest.mark.parametrize("argument", ["--map=text", "--map=txet=body", "--set=colour=blue", "--label=1=bad"])
def test_bad_mappings_are_refused(tmp_path: Path, argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mapping of an unknown field or label, or without a value, is bad usage (exit 2)."""
    path = jsonl(tmp_path / "mine.jsonl", {"body": "fine", "toxic": 0})
    assert main(["convert", str(path), "--output", str(tmp_path / "o.parquet"), argument]) == 2
    assert argument.split("=")[0] in capsys.readouterr().err


def test_other_suffixes_and_encodings_are_refused(tmp_path: Path) -> None:
    """A file of another kind or encoding is refused by name."""
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(CorpusError, match=r"one of \.jsonl"):
        read_file(tmp_path / "a.xlsx")
    (tmp_path / "a.jsonl").write_bytes('{"text": "中"}'.encode("gb18030"))
    with pytest.raises(CorpusError, match="not UTF-8"):
        read_file(tmp_path / "a.jsonl")


def test_convert_writes_what_training_reads(tmp_path: Path) -> None:
    """`convert` turns several own files into one corpus file."""
    a = jsonl(tmp_path / "a.jsonl", {"id": "1", "body": "fine", "toxic": 0})
    b = jsonl(tmp_path / "b.jsonl", {"id": "2", "body": "You worthless dirt.", "toxic": 1})
    arguments = ["--map", "text=body", "--map", "label=toxic", "--label", "0=compliant", "--label", "1=noncompliant"]
    output = tmp_path / "corpora" / "mine.parquet"
    assert (
        main(["convert", str(a), str(b), "--output", str(output), *arguments, "--set", "licence_class=permissive"]) == 0
    )
    assert [row.label for row in read_parquet_dir(output.parent)] == ["compliant", "noncompliant"]


def test_hub_data_sets_are_loaded_by_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set in the hub's layout is read by the `datasets` library, split and columns as asked for."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = tmp_path / "data_set"
    data.mkdir()
    jsonl(data / "train.jsonl", {"body": "fine", "toxic": 0}, {"body": "You worthless dirt.", "toxic": 1})
    jsonl(data / "test.jsonl", {"body": "held out", "toxic": 0})
    rows = read_hub(str(data), COLUMNS, split="train", cache=tmp_path / "cache")
    assert [(row.id, row.label) for row in rows] == [("mine-1", "compliant"), ("mine-2", "noncompliant")]
    assert [row.text for row in read_hub(str(data), COLUMNS, split="test", cache=tmp_path / "cache")] == ["held out"]
    with pytest.raises(CorpusError, match="check the id, the split and the network"):
        read_hub(str(data), COLUMNS, split="validation", cache=tmp_path / "cache")
    with pytest.raises(CorpusError, match="check the id"):
        read_hub(str(tmp_path / "nowhere"), COLUMNS, cache=tmp_path / "cache")


def test_pairs_and_paragraphs_need_their_columns(tmp_path: Path) -> None:
    """Unlabelled files have exactly the columns of their kind; a blank value or an unknown licence is named."""
    good = {"zh": "水烧开了。", "en": "The water boils.", "source": "s", "licence_class": "permissive", "more": 1}
    path = jsonl(tmp_path / "p.jsonl", good)
    assert read_unlabelled(path, "pairs") == [{k: v for k, v in good.items() if k != "more"}]
    jsonl(path, good, {**good, "zh": " "}, {**good, "licence_class": "free"})
    with pytest.raises(CorpusError) as caught:
        read_unlabelled(path, "pairs")
    assert [(p.row, p.column) for p in caught.value.problems] == [(2, "zh"), (3, "licence_class")]


def test_the_smoke_corpora_are_sound(tmp_path: Path) -> None:
    """The committed smoke corpora convert, cover both languages, labels and sides, and most categories."""
    train = [row for file in sorted((SMOKE / "train").glob("*.jsonl")) for row in read_file(file)]
    bench = [row for file in sorted((SMOKE / "bench").glob("*.jsonl")) for row in read_file(file)]
    for rows in (train, bench):
        assert {(row.lang, row.label) for row in rows} == {
            (g, b) for g in ("en", "zh") for b in ("compliant", "noncompliant")
        }
    assert {row.side for row in train} == {"prompt", "response", "content"}
    assert len({c for row in train for c in row.categories}) == 12
    assert len({row.text for row in train + bench}) == len(train + bench)
    assert len(read_unlabelled(SMOKE / "pairs.jsonl", "pairs")) >= 40
    assert {row["lang"] for row in read_unlabelled(SMOKE / "plain.jsonl", "plain")} == {"en", "zh"}
