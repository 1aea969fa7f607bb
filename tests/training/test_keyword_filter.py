from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.types import NONCOMPLIANT, Action
from training.corpora import Row, write_parquet
from training.keyword_filter import KeywordFilter, decide, main, read_words

WORDS = KeywordFilter.of(["Bomb", "炸弹", "a片", "坏", "x", "", "红色+风筝+", "www.bad.example"])


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("a BOMB.", True),
        ("ｂｏｍｂ", True),
        ("bombastic", False),
        ("seabomb", False),
        ("bomb2", False),
        ("把bomb放下", True),
        ("这是炸弹吗", True),
        ("這是炸彈嗎", True),
        ("炸\u200b弹", True),
        ("看a片", True),
        ("Da片", False),
        ("坏 x", False),
        ("红色的风筝", True),
        ("风筝,红色", True),
        ("红色的鸟", False),
        ("see www.bad.example/x", True),
        ("", False),
        ("b", False),
    ],
)
def test_words_are_found_in_normalised_text(text: str, hit: bool) -> None:
    """Case, width, script and hidden characters do not count; Latin ends need a border; groups need all parts."""
    assert WORDS.matches(text) is hit


def test_lists_are_read_from_a_directory(tmp_path: Path) -> None:
    """All lists count unless left out by name; a directory without lists and an unknown name are refused."""
    (tmp_path / "one.txt").write_text("\ufeffkite\nball\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("drum", encoding="utf-8")
    assert read_words(tmp_path) == ["kite", "ball", "drum"]
    assert read_words(tmp_path, ["two"]) == ["kite", "ball"]
    with pytest.raises(ValueError, match="no list is called three"):
        read_words(tmp_path, ["three"])
    with pytest.raises(ValueError, match=r"no \*\.txt file"):
        read_words(tmp_path, ["one", "two"])
    (tmp_path / "three.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_words(tmp_path)


def rows() -> list[Row]:
    """Thirty texts; the word is in half of the noncompliant ones and in one compliant one."""
    return [
        Row(
            id=f"r{i}",
            source="s",
            lang="en",
            side="prompt",
            text=f"about a kite {i}" if i < 5 or i == 10 else f"about a ball {i}",
            label=NONCOMPLIANT if i < 10 else "compliant",
            categories=("other",) if i < 10 else (),
        )
        for i in range(30)
    ]


def test_records_have_one_score_for_everything() -> None:
    """A hit is score 1 and a block, under the identity of the words; the text stays out."""
    hit, miss = decide([rows()[0], rows()[20]], KeywordFilter.of(["kite"]))
    assert (set(hit.scores.values()), hit.action, hit.text) == ({1.0}, Action.BLOCK, None)
    assert (set(miss.scores.values()), miss.action) == ({0.0}, Action.ALLOW)
    assert hit.model == KeywordFilter.of(["KITE", "kite"]).identity != KeywordFilter.of(["ball"]).identity


def test_the_command_writes_a_table_for_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The operating point is the filter's own, so policy and point agree; bad input is exit code 2."""
    write_parquet(tmp_path / "bench" / "s.parquet", rows())
    (tmp_path / "lists").mkdir()
    arguments = ["--data", str(tmp_path / "bench"), "--wordlists", str(tmp_path / "lists")]
    arguments += ["--output", str(tmp_path / "out"), "--bootstrap", "0"]
    assert main(arguments) == 2
    assert "no *.txt file" in capsys.readouterr().err
    (tmp_path / "lists" / "a.txt").write_text("kite\n", encoding="utf-8")
    assert main(arguments) == 0
    (line,) = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))["lines"]
    assert (line["recall"], line["fpr"]) == (line["policy_recall"], line["policy_fpr"]) == (0.5, 0.05)
    assert "keyword filter" in capsys.readouterr().out
