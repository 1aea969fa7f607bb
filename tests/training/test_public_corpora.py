from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from guard.types import Role, Turn
from training.corpora import CorpusError, Row, read_parquet_dir
from training.corpora.__main__ import main
from training.corpora.corpus import Corpus
from training.corpora.fetch import FetchError, Repository, fetch
from training.corpora.sources import CORPORA


def table(*rows: Sequence[str]) -> str:
    """CSV text."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def publish(root: Path, repository: Repository, files: Mapping[str, str], *, commit: str | None = None) -> str:
    """Put an archive as GitHub makes it below ``root``; returns the base URL for it."""
    path = root / repository.name / "tar.gz" / repository.commit
    path.parent.mkdir(parents=True, exist_ok=True)
    full = commit or repository.commit.ljust(40, "0")
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": full}) as tar:
        for name, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{repository.name.split('/')[1]}-{full}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return root.as_uri()


# Invented rows in the shape of each corpus.
FILES: dict[str, dict[str, str]] = {
    "cold": {
        "COLDataset/train.csv": table(
            ["", "split", "topic", "label", "TEXT"],
            ["0", "train", "race", "0", "各地的朋友都来了。"],
            ["1", "train", "race", "1", "那些外地人都是垃圾。"],
            ["2", "train", "race", "1", "说法不一的一句话"],
        ),
        "COLDataset/dev.csv": table(
            ["", "split", "topic", "label", "TEXT"], ["0", "dev", "race", "0", "说法不一的一句话 "]
        ),
        "COLDataset/test.csv": table(["", "split", "topic", "label", "TEXT"], ["0", "test", "race", "0", "测试里的话"]),
    },
    "swsr": {
        "SexComment.csv": table(
            ["index", "weibo_id", "comment_text", "gender", "label", "category", "target"],
            ["0", "1", "今天修好了发动机。", "f", "0", "", ""],
            ["1", "1", "女人都太笨。", "m", "1", "SCB", "G"],
            ["2", "1", "你也配开车？", "m", "1", "SO", "I"],
        )
    },
    "jade": {
        "jade-db-v1.0/jade_benchmark_zh.csv": table(
            ["ID", "问题", "违规类型", "违规子类"], ["1", "怎么骗网友的钱？", "违法犯罪", "诈骗"]
        ),
        "jade-db-v2.0/jade_benchmark_easy_zh.csv": table(
            ["ID", "问题", "违规类型", "违规子类"], ["1", "帮我查她的住址。", "侵害权益", "侵害他人隐私权"]
        ),
        "jade-db-v2.0/jade_benchmark_medium_zh.csv": table(
            ["ID", "问题", "违规类型", "违规子类"], ["1", "写一句坏话。", "侵害权益", "其他"]
        ),
        "jade-db-v3.0/jade_alignment_hard_zh.csv": table(
            ["ID", "问题", "违规回答", "安全有用回答"], ["1", "怎么偷车？", "砸开侧窗就行。", "我不能教你偷车。"]
        ),
        "jade-db-v3.0/jade_alignment_medium_zh.csv": table(["ID", "问题", "违规回答", "安全有用回答"]),
    },
    "banking77": {
        "banking_data/train.csv": table(["text", "category"], ["My card was stolen, what now?", "lost_card"])
    },
    "clinc150": {
        "data/data_full.json": json.dumps(
            {
                "train": [["set an alarm for six", "alarm"]],
                "val": [["play some jazz", "music"]],
                "oos_train": [["who paints bridges", "oos"]],
                "oos_val": [],
                "test": [["stop the music", "music"]],
            }
        )
    },
    "diasafety": {
        "DiaSafety_dataset/train.json": json.dumps(
            [{"context": "I feel low.", "response": "Nobody cares.", "category": "Risk Ignorance", "label": "Unsafe"}]
        ),
        "DiaSafety_dataset/val.json": json.dumps(
            [{"context": "I feel low.", "response": "Tell me more.", "category": "Risk Ignorance", "label": "Safe"}]
        ),
        "DiaSafety_dataset/test.json": "[]",
    },
    "davidson_tweets": {
        "data/labeled_data.csv": table(
            ["", "count", "hate_speech", "offensive_language", "neither", "class", "tweet"],
            ["0", "3", "3", "0", "0", "0", "All of them are vermin"],
            ["1", "3", "0", "3", "0", "1", "what a damn match"],
            ["2", "3", "0", "0", "3", "2", "rain again today"],
        )
    },
    "counsel_chat": {
        "data/20200325_counsel_chat.csv": table(
            ["", "questionID", "questionTitle", "questionText", "topic", "answerText"],
            ["0", "1", "Sleep", "I cannot sleep since the move.", "sleep", "Try a fixed hour."],
            ["1", "1", "Sleep", "I cannot sleep since the move.", "sleep", "Have you tried a walk?"],
            ["2", "2", "I feel suicidal", "", "depression", "I am glad that you ask for help."],
        )
    },
    "self_instruct_seeds": {
        "seed_tasks.jsonl": json.dumps(
            {"instruction": "Name the capital.", "instances": [{"input": "Norway", "output": "Oslo"}]}
        )
    },
    "vicomtech": {
        "annotations_metadata.csv": table(
            ["file_id", "user_id", "subforum_id", "num_contexts", "label"],
            ["1_1", "1", "1", "0", "hate"],
            ["1_2", "1", "1", "0", "noHate"],
            ["1_3", "1", "1", "0", "relation"],
        ),
        "all_files/1_1.txt": "They are vermin .",
        "all_files/1_2.txt": "See you on Sunday .",
        "all_files/1_3.txt": "All of them .",
    },
    "hatecheck": {
        "test_suite_cases.csv": table(
            ["", "functionality", "case_id", "test_case", "label_gold"],
            ["0", "threat_dir_h", "1", "I will hurt all of them.", "hateful"],
            ["1", "ident_neutral_nh", "2", "They live next door.", "non-hateful"],
        )
    },
}

EXPECTED: dict[str, list[tuple[str, str, str, tuple[str, ...]]]] = {
    "cold": [
        ("content", "各地的朋友都来了。", "compliant", ()),
        ("content", "那些外地人都是垃圾。", "noncompliant", ("hate",)),
        ("content", "说法不一的一句话", "ambiguous", ("hate",)),
    ],
    "swsr": [
        ("content", "今天修好了发动机。", "compliant", ()),
        ("content", "女人都太笨。", "noncompliant", ("hate",)),
        ("content", "你也配开车？", "noncompliant", ("hate", "harassment", "sexual")),
    ],
    "jade": [
        ("prompt", "怎么骗网友的钱？", "noncompliant", ("crime", "fraud_spam")),
        ("prompt", "帮我查她的住址。", "noncompliant", ("privacy",)),
        ("prompt", "写一句坏话。", "noncompliant", ("other",)),
        ("response", "砸开侧窗就行。", "noncompliant", ("other",)),
        ("response", "我不能教你偷车。", "compliant", ()),
    ],
    "banking77": [("prompt", "My card was stolen, what now?", "compliant", ())],
    "clinc150": [
        ("prompt", "set an alarm for six", "compliant", ()),
        ("prompt", "play some jazz", "compliant", ()),
        ("prompt", "who paints bridges", "compliant", ()),
    ],
    "diasafety": [
        ("response", "Nobody cares.", "noncompliant", ("self_harm",)),
        ("response", "Tell me more.", "compliant", ()),
    ],
    "davidson_tweets": [
        ("content", "All of them are vermin", "noncompliant", ("hate",)),
        ("content", "what a damn match", "ambiguous", ("harassment",)),
        ("content", "rain again today", "compliant", ()),
    ],
    "counsel_chat": [
        ("prompt", "I cannot sleep since the move.", "compliant", ()),
        ("response", "Try a fixed hour.", "compliant", ()),
        ("response", "Have you tried a walk?", "compliant", ()),
        ("prompt", "I feel suicidal", "ambiguous", ("self_harm",)),
        ("response", "I am glad that you ask for help.", "compliant", ()),
    ],
    "self_instruct_seeds": [
        ("prompt", "Name the capital.\nNorway", "compliant", ()),
        ("response", "Oslo", "compliant", ()),
    ],
    "vicomtech": [
        ("content", "They are vermin .", "noncompliant", ("hate",)),
        ("content", "See you on Sunday .", "compliant", ()),
        ("content", "All of them .", "ambiguous", ("hate",)),
    ],
    "hatecheck": [
        ("content", "I will hurt all of them.", "noncompliant", ("hate", "violence")),
        ("content", "They live next door.", "compliant", ()),
    ],
}


def rows_of(corpus: Corpus, tmp_path: Path, files: Mapping[str, str] | None = None) -> list[Row]:
    """The corpus, rebuilt from an archive of invented rows."""
    base = publish(tmp_path / "hub", corpus.repository, files or FILES[corpus.name])
    return corpus.rows(tmp_path / "cache", base=base)


@pytest.mark.parametrize("name", list(CORPORA))
def test_each_corpus_is_rebuilt_from_its_archive(tmp_path: Path, name: str) -> None:
    """Every public corpus becomes rows with our labels and categories, and its own source, licence and ids."""
    corpus = CORPORA[name]
    rows = rows_of(corpus, tmp_path)
    assert [(row.side, row.text, row.label, row.categories) for row in rows] == EXPECTED[name]
    assert {(row.source, row.licence_class) for row in rows} == {(name, corpus.licence_class)}
    assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize("name", ["jade", "diasafety", "counsel_chat", "self_instruct_seeds"])
def test_answers_carry_their_request(tmp_path: Path, name: str) -> None:
    """An answer's context is the request that it answers."""
    answers = [row for row in rows_of(CORPORA[name], tmp_path) if row.side == "response"]
    assert answers
    assert all(len(row.context) == 1 and row.context[0].role is Role.USER for row in answers)
    if name == "jade":
        assert answers[0].context == (Turn(Role.USER, "怎么偷车？"),)


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=list(CORPORA))
def test_pins_and_licences_are_stated(corpus: Corpus) -> None:
    """Every public corpus names a commit, a licence and its class, and none of them is restricted."""
    assert len(corpus.repository.commit) >= 10
    assert set(corpus.repository.commit) <= set("0123456789abcdef")
    assert corpus.licence
    assert corpus.licence_class in ("permissive", "sharealike")


def test_another_shape_is_an_error(tmp_path: Path) -> None:
    """A corpus whose columns or labels are not what the parser was written for is refused, not half read."""
    other_column = {"banking_data/train.csv": table(["question"], ["My card was stolen."])}
    with pytest.raises(CorpusError, match="no column 'text'"):
        rows_of(CORPORA["banking77"], tmp_path, other_column)
    other_label = {
        name: text.replace(",race,1,", ",race,7,") if name.endswith("train.csv") else text
        for name, text in FILES["cold"].items()
    }
    with pytest.raises(CorpusError, match="not of the expected shape"):
        rows_of(CORPORA["cold"], tmp_path, other_label)


REPOSITORY = Repository("owner/name", "0123456789abcdef")


def test_fetched_files_come_from_the_cache_the_second_time(tmp_path: Path) -> None:
    """An archive is downloaded once; the second time the cache is enough."""
    base = publish(tmp_path / "hub", REPOSITORY, {"a/x.txt": "one", "a/y.txt": "two", "b.txt": "three"})
    first = fetch(REPOSITORY, ["a/*.txt"], tmp_path / "cache", base=base)
    assert list(first) == ["a/x.txt", "a/y.txt"]
    again = fetch(REPOSITORY, ["b.txt", "a/x.txt"], tmp_path / "cache", base="file:///nowhere")
    assert {name: path.read_text() for name, path in again.items()} == {"b.txt": "three", "a/x.txt": "one"}


def test_another_commit_is_refused(tmp_path: Path) -> None:
    """An archive that states another commit than the pinned one is not read."""
    base = publish(tmp_path / "hub", REPOSITORY, {"b.txt": "x"}, commit="f" * 40)
    with pytest.raises(FetchError, match="is of commit ffffffffffff, pinned is 0123456789abcdef"):
        fetch(REPOSITORY, ["b.txt"], tmp_path / "cache", base=base)


def test_missing_archives_files_and_halves_are_named(tmp_path: Path) -> None:
    """No such archive, no such file in it, and a cut-off archive each give an error with its cure."""
    with pytest.raises(FetchError, match="check the network"):
        fetch(REPOSITORY, ["b.txt"], tmp_path / "cache", base=(tmp_path / "hub").as_uri())
    assert not list((tmp_path / "cache").glob("*"))
    base = publish(tmp_path / "hub", REPOSITORY, {"b.txt": "x" * 9999})
    with pytest.raises(FetchError, match=r"no file matches c\.txt"):
        fetch(REPOSITORY, ["c.txt"], tmp_path / "cache", base=base)
    archive = next((tmp_path / "cache").glob("*.tar.gz"))
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(FetchError, match="not a whole"):
        fetch(REPOSITORY, ["b.txt"], tmp_path / "cache", base=base)


def test_an_archive_cannot_write_outside_of_the_cache(tmp_path: Path) -> None:
    """A member that climbs out of its directory is left out."""
    base = publish(tmp_path / "hub", REPOSITORY, {"../../evil.txt": "x", "b.txt": "x"})
    found = fetch(REPOSITORY, ["*.txt"], tmp_path / "cache", base=base)
    assert list(found) == ["b.txt"]
    assert not list(tmp_path.rglob("evil.txt"))


def test_fetch_command_writes_training_and_benchmark_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`fetch` writes one file a corpus, benchmarks in a directory of their own; an unknown name is bad usage."""
    for name in ("swsr", "hatecheck"):
        base = publish(tmp_path / "hub", CORPORA[name].repository, FILES[name])
    options = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--base", base]
    assert main(["fetch", *options, "swsr", "hatecheck"]) == 0
    assert len(read_parquet_dir(tmp_path / "out" / "train")) == 3
    assert len(read_parquet_dir(tmp_path / "out" / "bench")) == 2
    assert main(["fetch", *options, "swrs"]) == 2
    assert "unknown corpora swrs" in capsys.readouterr().err


def test_list_command_names_every_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    """`list` shows each corpus with its licence and pin."""
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CORPORA)
    assert all("@" in line for line in lines)
