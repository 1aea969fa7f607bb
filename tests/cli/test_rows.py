from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from guard.cli.rows import RawRow, open_rows
from guard.errors import InvalidInput


def _rows(path: Path) -> list[RawRow]:
    return list(open_rows(path).rows)


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _error(row: RawRow) -> str:
    assert row.error is not None and not row.values
    return str(row.error)


def _refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        open_rows(path)
    return str(caught.value)


def test_json_lines(tmp_path: Path) -> None:
    """JSON Lines rows have the number of their line; blank lines and a byte order mark do not matter."""
    path = _write(tmp_path / "a.jsonl", '\ufeff{"text": "一"}\n\n  \n{"text": "b", "n": [1]}')
    assert [(row.number, row.values) for row in _rows(path)] == [(1, {"text": "一"}), (4, {"text": "b", "n": [1]})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"text": "\xff"}', "not UTF-8 at byte 10 (save the file as UTF-8)"),
        (b'{"v": NaN}', "NaN is no JSON value"),
        (b'{"v": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"v": ' + b"[" * 100_000, "not JSON"),
    ],
)
def test_bad_line_is_a_row_with_its_error(tmp_path: Path, line: bytes, reason: str) -> None:
    """A line that is not a JSON object comes out with its error, between its neighbours."""
    path = _write(tmp_path / "a.jsonl", b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n')
    first, bad, last = _rows(path)
    assert (first.number, bad.number, last.number) == (1, 2, 3)
    assert reason in _error(bad)
    assert last.values == {"text": "b"}


def test_csv(tmp_path: Path) -> None:
    """CSV rows have the number of the line where they begin, quoted line ends included."""
    path = _write(tmp_path / "a.csv", '\ufefftext,side\r\n"two\nlines, quoted",prompt\r\n\r\n天安门,response\r\n')
    opened = open_rows(path)
    assert opened.columns == ("text", "side") and opened.cells
    assert [(row.number, row.values) for row in opened.rows] == [
        (2, {"text": "two\nlines, quoted", "side": "prompt"}),
        (5, {"text": "天安门", "side": "response"}),
    ]


def test_csv_bad_rows(tmp_path: Path) -> None:
    """A row with too many cells or a broken quote comes out with its error, between its neighbours."""
    path = _write(tmp_path / "a.csv", 'text,side\na,b,c\n"a"b,c\nd,e\n')
    many, broken, good = _rows(path)
    assert (many.number, broken.number, good.number) == (2, 3, 4)
    assert "3 cells, the header has 2" in _error(many)
    assert "not CSV" in _error(broken)
    assert good.values == {"text": "d", "side": "e"}


def test_csv_that_is_not_utf8(tmp_path: Path) -> None:
    """What a spreadsheet saves in another encoding is named as such, by its line and column, with how to save it."""
    cure = "not UTF-8 (save the file as UTF-8; in Excel: Save As, CSV UTF-8)"
    path = _write(tmp_path / "a.csv", b"text,note\nfine,x\n" + "你好,x\n".encode("gbk") + b"fine,y\n")
    first, bad, last = _rows(path)
    assert (first.values["text"], bad.number, last.values["note"]) == ("fine", 3, "y")
    assert _error(bad) == f"text: {cure}"
    header = _write(tmp_path / "b.csv", "内容\n你好\n".encode("gbk"))
    assert _refusal(header) == f"--input: {header}:1: {cure}"
    assert f"b.csv:1: {cure}" in _refusal(_write(header, "text\nhello\n".encode("utf-16")))


def test_csv_missing_quote_loses_nothing_silently(tmp_path: Path) -> None:
    """A quote that is never closed is an error, not one long text."""
    path = _write(tmp_path / "a.csv", 'text\na\n"b\nc\nd\n')
    good, broken = _rows(path)
    assert good.values == {"text": "a"}
    assert broken.number == 3 and "not CSV" in _error(broken)


def test_csv_header(tmp_path: Path) -> None:
    """A CSV file without a header, or with two columns of one name, is refused."""
    assert "no header" in _refusal(_write(tmp_path / "a.csv", ""))
    assert "two columns named 'text'" in _refusal(_write(tmp_path / "b.csv", "text,text\na,b\n"))


def test_parquet(tmp_path: Path) -> None:
    """Parquet rows have the number of the row; lists, maps, times and NaN become what JSON has."""
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    columns = {
        "text": ["一", "b"],
        "categories": [["hate"], None],
        "tags": pa.array([[("t", "x")], []], pa.map_(pa.string(), pa.string())),
        "turns": [[{"role": "user", "text": "c"}], []],
        "day": [datetime.date(2026, 1, 31), None],
        "score": [float("nan"), 0.5],
    }
    pq.write_table(pa.table(columns), path)
    opened = open_rows(path)
    assert opened.total == 2 and opened.columns == tuple(columns)
    first, second = opened.rows
    assert (first.number, second.number) == (1, 2)
    turns = [{"role": "user", "text": "c"}]
    assert first.values == {
        "text": "一", "categories": ["hate"], "tags": {"t": "x"}, "turns": turns, "day": "2026-01-31", "score": None,
    }  # fmt: skip


def test_parquet_bytes(tmp_path: Path) -> None:
    """Bytes are the text that they spell; bytes that spell none are kept as base64, in a form that no text has."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"text": pa.array(["炸弹".encode(), b"\xff"], pa.binary())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [row.values["text"] for row in _rows(tmp_path / "a.parquet")] == ["炸弹", {"base64": "/w=="}]


def test_parquet_string_that_is_not_utf8(tmp_path: Path) -> None:
    """A string column may hold bytes that are not UTF-8: that row fails alone, with its column named."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    raw = pa.array([b"one", b"\xff", b"three"], pa.binary())
    strings = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": strings}), tmp_path / "a.parquet")
    first, bad, last = _rows(tmp_path / "a.parquet")
    assert (first.values["text"], last.values) == ("one", {"id": "c", "text": "three"})
    assert bad.number == 2 and _error(bad).startswith("text: invalid UTF-8 (")


def test_damaged_parquet(tmp_path: Path) -> None:
    """Where a Parquet file is damaged its rows end with one bad row, the first that could not be read."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(1000)]}), path, row_group_size=250)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).dictionary_page_offset
    data[start : start + 100] = bytes([0x55] * 100)
    path.write_bytes(data)
    *sound, bad = _rows(path)
    assert sound and [row.values["text"] for row in sound] == [f"text {i}" for i in range(len(sound))]
    assert bad.number == len(sound) + 1 and "damaged from here on" in _error(bad)


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow a Parquet file is refused with the name of the extra that brings it."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "guard-sidecar[bulk]" in _refusal(_write(tmp_path / "a.parquet", b""))


def test_not_parquet(tmp_path: Path) -> None:
    """A file that is not Parquet in spite of its name is refused."""
    assert "not a Parquet file" in _refusal(_write(tmp_path / "a.parquet", b"nothing of the kind"))


def test_unknown_files(tmp_path: Path) -> None:
    """A file of an unknown kind is refused with the known ones, a missing one as such."""
    assert ".jsonl, .ndjson, .csv, .parquet" in _refusal(_write(tmp_path / "a.xlsx", b""))
    assert "no file" in _refusal(tmp_path / "none.csv")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads JSON Lines from standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a"}\n')))
    [row] = open_rows(Path("-")).rows
    assert row.values == {"text": "a"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_position_reaches_the_end(tmp_path: Path, name: str) -> None:
    """A row's position tells how much of the file is behind, up to all of it."""
    lines = ["text"] if name.endswith("csv") else []
    lines += ["x"] if name.endswith("csv") else ['{"text": "x"}'] * 3
    opened = open_rows(_write(tmp_path / name, "\n".join(lines) + "\n"))
    positions = [row.position for row in opened.rows]
    assert positions == sorted(positions) and positions[-1] == opened.total
