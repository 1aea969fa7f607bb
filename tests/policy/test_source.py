"""YAML files: what is read, where it stood, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import PolicyError, Problem
from guard.policy.source import Document, read_bytes, read_document


def _read(text: str) -> Document:
    return read_document(text.encode(), "f.yaml")


def _only(document: Document) -> Problem:
    (problem,) = document.problems
    return problem


def test_values_are_read_as_yaml_1_2_and_never_converted() -> None:
    """yes, on and dates are text; only true, false, and numbers are more."""
    document = _read("a: [yes, on, 2024-01-31, true, False, 1, 0x1f, 0o17, 010, 1.5, 1e3, -.inf, '0.8']")
    assert document.value == {
        "a": ["yes", "on", "2024-01-31", True, False, 1, 31, 15, 10, 1.5, 1000.0, float("-inf"), "0.8"]
    }
    assert document.problems == ()


def test_every_value_and_key_knows_its_line_and_column() -> None:
    """Lines and columns count from 1, columns in code points, also after Chinese text and a byte order mark."""
    document = _read('\ufeff名: {"中文": x, b: [1,\n    2]}\n')
    value, key = document.problem(("名", "b"), "w", "c"), document.problem(("名", "b"), "w", "c", at_key=True)
    assert (value.line, value.column) == (1, 17)
    assert (key.line, key.column) == (1, 14)
    assert document.problem(("名", "b", 1), "w", "c").line == 2


def test_a_place_that_is_not_there_falls_back_to_what_is_around_it() -> None:
    """A problem with something missing points at the nearest thing that the file has."""
    problem = _read("a:\n  b: 1\n").problem(("a", "c", 3), "w", "c")
    assert str(problem) == "f.yaml:2:3: w (c)"


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a: [1, 2\n", 2, 1, "not valid YAML"),
        ("a: b: c", 1, 5, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, 1, "not valid YAML"),
        ("a: 'x", 1, 6, "not valid YAML"),
        ("a: *nowhere", 1, 4, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, 1, "not valid YAML"),
        ("a: 1\nb: x\x01\n", 2, 5, "a control character"),
        ("", 1, 1, "the file is empty"),
        ("# only a comment\n", 1, 1, "the file is empty"),
        ("[\n" * 5000, 1, 1, "nested too deeply"),  # a line each: on one line the reader looks ahead for a key
    ],
)
def test_a_file_that_is_not_yaml_is_refused_with_the_place(text: str, line: int, column: int, what: str) -> None:
    """Broken syntax gives one problem with line and column, and no value."""
    document = _read(text)
    problem = _only(document)
    assert document.value is None
    assert (problem.line, problem.column) == (line, column)
    assert what in problem.what and problem.cure


def test_invalid_utf8_is_named_with_its_place() -> None:
    """Bytes that are no UTF-8 are refused where they stand."""
    problem = _only(read_document("a: 1\nb: 中".encode() + b"\xff\xfe", "f.yaml"))
    assert str(problem) == "f.yaml:2:5: not valid UTF-8 (save the file as UTF-8)"


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key a (first on line 1)"),
        ("a: 1\n<<: {b: 2}\n", 2, 1, "merge keys (<<) are not supported"),
        ("1: x\n", 1, 1, "a key must be text"),
        ("? [a, b]\n: x\n", 1, 3, "a key must be text"),
        ('a: "\\ud83d\\ude00"\n', 1, 4, "half of a character (a surrogate)"),
        ("a:\nb: 1\n", 1, 1, "a has no value"),
        ("a: [x, ~]\n", 1, 8, "there is no value"),
        ("a: !secret x\n", 1, 4, "the tag !secret is not supported"),
        ("a: !!set {x: 1}\n", 1, 4, "the tag tag:yaml.org,2002:set is not supported"),
        ("a: &x [*x]\n", 1, 4, "an alias inside of what it names"),
        ("a: !!int one\n", 1, 4, "not a number"),
    ],
)
def test_what_yaml_allows_and_a_policy_does_not_is_named(text: str, line: int, column: int, what: str) -> None:
    """Duplicate keys, merge keys, odd keys, empty values, tags and endless aliases are problems, not surprises."""
    problem = _only(_read(text))
    assert (problem.line, problem.column, problem.what) == (line, column, what)


def test_several_mistakes_come_together() -> None:
    """One mistake does not hide the next."""
    assert [p.line for p in _read("a: 1\na: 2\nb:\nc: !x 1\n").problems] == [2, 3, 4]


def test_a_problem_is_one_line_whatever_it_quotes() -> None:
    """Line ends in a key, or a key of a thousand characters, do not tear the report."""
    for key in ('"a\\nb\\x1b[31m"', "k" * 1000):
        problem = str(_only(_read(f"{key}: 1\n{key}: 2\n")))
        assert problem.isprintable() and len(problem) < 300


def test_aliases_stand_for_their_value() -> None:
    """An anchor may be used again."""
    assert _read("a: &x {en: hi}\nb: *x\n").value == {"a": {"en": "hi"}, "b": {"en": "hi"}}
    assert _read("a: &x 1\nb: &x 2\nc: *x\n").value == {"a": 1, "b": 2, "c": 2}


def test_a_small_file_cannot_grow_without_bound() -> None:
    """Aliases of aliases end at a limit and are one problem."""
    levels = "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10)}]\n" for i in range(1, 12))
    problem = _only(_read(f"k0: &k0 [x]\n{levels}"))
    assert problem.what == "too many values"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """What cannot be opened is named with the reason."""
    with pytest.raises(PolicyError, match=r"gone\.yaml:1:1: cannot be read: No such file or directory"):
        read_bytes(tmp_path / "gone.yaml")


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    """A directory in place of a file is said plainly."""
    with pytest.raises(PolicyError, match="Is a directory"):
        read_bytes(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """More than 1 MiB is no policy."""
    file = tmp_path / "huge.yaml"
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(PolicyError, match="larger than 1 MiB"):
        read_bytes(file)


@given(st.binary(max_size=200) | st.text("ab: -[]{}&*!|>'\"\n#,?%@`~<0.", max_size=60).map(str.encode))
def test_any_bytes_give_a_document_or_problems(data: bytes) -> None:
    """No input raises: it is either a value or at least one problem with a place in the file."""
    document = read_document(data, "f.yaml")
    assert document.value is not None or document.problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.cure for problem in document.problems)
