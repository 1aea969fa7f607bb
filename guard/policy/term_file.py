"""Lists of terms in files: one term a line, in UTF-8; blank lines and lines that begin with ``#`` say nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guard.errors import PolicyError, Problem
from guard.policy.source import Position, problem_at, read_bytes
from guard.policy.terms import TermMistake, folded_term

_COMMENT = "#"
# Whoever gave a file of another kind need not read all of it.
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TermFile:
    """A read file.

    Attributes:
        path: As it was named.
        terms: Folded, each once, in the file's order.
        problems: What is wrong, the first ones.
        digest: SHA-256 of its bytes in hex; empty if it cannot be read.
        readable: False if there is no such file, or none that can be read.
        lines: On which line each term stands, counting from 1.
    """

    path: str
    terms: tuple[str, ...]
    problems: tuple[Problem, ...]
    digest: str
    readable: bool = True
    lines: tuple[int, ...] = ()


def read_term_file(path: Path) -> TermFile:
    """Read and check a list of terms.

    Args:
        path: UTF-8, with or without a byte order mark, with any line ends; at most 1 MiB.
    """
    try:
        data = read_bytes(path)
    except PolicyError as error:
        return TermFile(str(path), (), error.problems, "", readable=False)
    digest = hashlib.sha256(data).hexdigest()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        place = Position(data[: error.start].count(b"\n") + 1, 1)
        problem = problem_at(str(path), place, "not valid UTF-8", "save the file as UTF-8")
        return TermFile(str(path), (), (problem,), digest)
    lines: dict[str, int] = {}
    problems = list(_problems(str(path), text, lines))
    if not lines and not problems:
        problems.append(problem_at(str(path), Position(1, 1), "no term in it", "write one a line"))
    if len(problems) > _MOST_SHOWN:
        left = f"{len(problems) - _MOST_SHOWN} more mistakes in this file"
        last = Position(problems[_MOST_SHOWN].line, 1)
        problems[_MOST_SHOWN:] = [problem_at(str(path), last, left, "one term a line")]
    return TermFile(str(path), tuple(lines), tuple(problems), digest, lines=tuple(lines.values()))


def _problems(file: str, text: str, lines: dict[str, int]) -> Iterator[Problem]:
    """What is wrong line by line; the terms and where they stand go to ``lines``."""
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip()
        if not written or written.startswith(_COMMENT):
            continue
        place = Position(number, line.index(written) + 1)
        try:
            term = folded_term(written)
        except TermMistake as mistake:
            yield problem_at(file, place, mistake.what, mistake.cure)
            continue
        if term in lines:
            yield problem_at(file, place, f"{written} stands on line {lines[term]} already", "remove one of them")
        lines.setdefault(term, number)
