"""The check of deny-terms against sentences that nobody should be stopped for.

The sentences are bundled (``ordinary_en.txt``, ``ordinary_zh.txt``), everyday ones that are rich in words of two
meanings. A term that is found in one of them will be found in a product's traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from guard.errors import Problem
from guard.normalize import normalize
from guard.policy.linted import Finding, Linted
from guard.policy.source import Loc
from guard.policy.term_file import read_term_file
from guard.policy.terms import TermList, TermMatcher, folded_term

_FILES = ("ordinary_en.txt", "ordinary_zh.txt")
_COMMENT = "#"
_CODE = "common-term"
_CURE = "write more of the phrase, or give the rule a score to go by"


@dataclass(slots=True)
class _Written:
    """A term, where it stands, and the sentences that have it."""

    shown: str
    loc: Loc
    #: File and line, of a term that stands in a list of its own.
    place: tuple[str, int] | None = None
    sentences: list[str] = field(default_factory=list)


@cache
def ordinary_sentences() -> tuple[str, ...]:
    """The bundled sentences, in both languages."""
    directory = Path(__file__).parent
    lines = [line for name in _FILES for line in (directory / name).read_text(encoding="utf-8").splitlines()]
    return tuple(line for line in lines if line and not line.startswith(_COMMENT))


def common_terms(subject: Linted) -> Iterator[Finding]:
    """Terms of rules that stop texts, which are found in ordinary sentences."""
    written: list[_Written] = []
    lists: list[TermList] = []
    for term, literals, patterns in _terms(subject):
        lists.append(TermList(str(len(written)), literals, patterns))
        written.append(term)
    if not written:
        return
    matcher = TermMatcher(lists)
    for sentence in ordinary_sentences():
        for category in {hit.category for hit in matcher.find(normalize(sentence).text)}:
            written[int(category)].sentences.append(sentence)
    for term in written:
        if term.sentences:
            yield _finding(subject, term)


def _terms(subject: Linted) -> Iterator[tuple[_Written, tuple[str, ...], tuple[str, ...]]]:
    for index, entry in enumerate(subject.entries("rules")):
        terms = entry.get("terms")
        if entry.get("action") == "allow" or not isinstance(terms, list):
            continue
        for at, term in enumerate(terms):
            loc: Loc = ("rules", index, "terms", at)
            if isinstance(term, str):
                yield _Written(term, loc), (folded_term(term),), ()
            elif isinstance(term, dict) and "pattern" in term:
                pattern = str(term["pattern"])
                yield _Written(pattern, (*loc, "pattern")), (), (pattern,)
            elif isinstance(term, dict):
                path = Path(subject.merged.place(loc).document.file).parent / str(term["file"])
                found = read_term_file(path)
                for word, line in zip(found.terms, found.lines, strict=True):
                    yield _Written(word, loc, (found.path, line)), (word,), ()


def _finding(subject: Linted, term: _Written) -> Finding:
    count = len(term.sentences)
    times = "an ordinary sentence" if count == 1 else f"{count} ordinary sentences, one of them"
    what = f"the term {term.shown} is in {times}: {term.sentences[0]}"
    if term.place is not None:
        file, line = term.place
        return Finding.of(Problem(file, line, 1, what, _CURE), _CODE)
    return subject.finding(_CODE, term.loc, what, _CURE)
