"""Terms in a text: whole words where a script has words, anywhere in Chinese, and exactly where they stand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.normalize import normalize
from guard.policy.terms import (
    MAX_TERM,
    TermList,
    TermMatcher,
    TermMistake,
    checked_pattern,
    detections,
    fingerprint,
    folded_term,
)

_ALPHABET = "abZ éß中文炸弹 \t\n.-_1２ｂ\u200b\u0301İς"


def _matcher(*terms: str, patterns: tuple[str, ...] = ()) -> TermMatcher:
    return TermMatcher([TermList("term.r", tuple(map(folded_term, terms)), tuple(map(checked_pattern, patterns)))])


def _found(text: str, *terms: str, patterns: tuple[str, ...] = ()) -> list[str]:
    """The pieces of the ORIGINAL that are found."""
    normalized = normalize(text)
    hits = _matcher(*terms, patterns=patterns).find(normalized.text)
    return [text[d.span.start : d.span.end] for d in detections(hits, normalized)]


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("bar", "a bar.", ["bar"]),
        ("bar", "barrel, crowbar, foo_bar, bar2", []),
        ("bar", "BAR Bar bar", ["BAR", "Bar", "bar"]),
        ("bar", "我在bar里", ["bar"]),
        ("bar", "b\u200bar ｂａｒ", ["b\u200bar", "ｂａｒ"]),
        ("Red  Bull", "red\n bull, redbull", ["red\n bull"]),
        ("café", "cafe\u0301s, cafe\u0301!", ["cafe\u0301"]),
        ("炸弹", "他说炸彈在这里，造炸弹", ["炸彈", "炸弹"]),
        ("芬太尼", "芬太尼贴剂", ["芬太尼"]),
        ("加vx", "请加VX哦", ["加VX"]),
        ("加vx", "请加vx2", []),
        ("c++", "I like C++, not c", ["C++"]),
        ("ΟΔΟΣ", "η οδος", ["οδος"]),
        ("🔫", "a🔫b", ["🔫"]),
        ("can't", "I can't", ["can't"]),
        ("a b", "a b a b a", ["a b", "a b"]),
        ("세종", "세종은", ["세종"]),
    ],
)
def test_where_a_term_is_found(term: str, text: str, found: list[str]) -> None:
    """A term is found whatever its case, width and invisible characters, and never inside of a word."""
    assert _found(text, term) == found


def test_the_longest_term_counts_and_overlaps_are_one_place() -> None:
    """Of terms that begin together the longest is found, and what overlaps in one list is one place."""
    assert _found("new york city", "new york", "new york city", "new") == ["new york city"]
    assert _found("刷单返利群", "刷单返利", "返利群") == ["刷单返利群"]


def test_lists_are_found_apart() -> None:
    """Two lists may hold the same term, and each has its own place."""
    lists = [TermList("term.a", ("bar",), ()), TermList("allow.b", ("bar", "bar none"), ())]
    hits = TermMatcher(lists).find("bar none")
    assert [(hit.category, hit.start, hit.end) for hit in hits] == [("term.a", 0, 3), ("allow.b", 0, 8)]


def test_patterns_are_found_whatever_the_case() -> None:
    """A pattern runs on the normalised text, and brings its own borders."""
    assert _found("ACME12, acme and acmeX7", patterns=(r"\bacme[0-9]+",)) == ["ACME12"]
    assert _found("１３８ acme", patterns=("[0-9]+", "acme")) == ["１３８", "acme"]
    assert _found("Acme acme", patterns=("(?-i:acme)",)) == ["acme"]


@pytest.mark.parametrize(
    ("term", "what"),
    [
        ("", "an empty term"),
        ("\u200b \t", "an empty term"),
        ("...", "a term of punctuation alone"),
        ("。，", "a term of punctuation alone"),
        ("- -", "a term of punctuation alone"),
        ("a" * (MAX_TERM + 1), f"a term of {MAX_TERM + 1} characters"),
    ],
)
def test_what_is_no_term(term: str, what: str) -> None:
    """A term that says nothing, or would be found in every text, is refused."""
    with pytest.raises(TermMistake) as caught:
        folded_term(term)
    assert caught.value.what == what and caught.value.cure


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("(a", r"not a pattern of RE2: missing \)"),
        ("(?=a)", "not a pattern of RE2: invalid perl operator"),
        (r"(a)\1", "not a pattern of RE2: invalid escape sequence"),
        ("a{2000}", "not a pattern of RE2: invalid repetition size"),
        ("", "a pattern that matches the empty text"),
        ("a*", "a pattern that matches the empty text"),
        (r"\b", "a pattern that matches the empty text"),
        ("^", "a pattern that matches the empty text"),
        (".", "a pattern that matches punctuation or space alone"),
        (r"[^a-z]", "a pattern that matches punctuation or space alone"),
        (r"\s+", "a pattern that matches punctuation or space alone"),
        ("炸彈", "a pattern with characters that normalised texts do not have"),
        ("ａ", "a pattern with characters that normalised texts do not have"),
        ("a" * (MAX_TERM + 1), f"a pattern of {MAX_TERM + 1} characters"),
    ],
)
def test_what_is_no_pattern(pattern: str, what: str) -> None:
    """What RE2 cannot run, what matches nothing or everything, and what no text can have is refused with a cure."""
    with pytest.raises(TermMistake, match=what):
        checked_pattern(pattern)


def test_a_fingerprint_is_that_of_the_set() -> None:
    """The order of a list says nothing; any other change does, and a pattern is no term."""
    assert fingerprint(["a", "b"], ["c"]) == fingerprint(["b", "a", "a"], ["c"])
    others = [fingerprint(["a"], ["c"]), fingerprint(["a", "b"], []), fingerprint(["a", "b", "c"], [])]
    assert len({fingerprint(["a", "b"], ["c"]), *others}) == 4


@settings(deadline=None)
@given(st.text(_ALPHABET, max_size=40), st.lists(st.text(_ALPHABET, min_size=1, max_size=5), max_size=4))
def test_every_place_is_one_of_the_term(text: str, words: list[str]) -> None:
    """Whatever the text: a place has the term, folded as the term is, and whole words around it."""
    terms = []
    for word in words:
        try:
            terms.append(folded_term(word))
        except TermMistake:
            continue
    normalized = normalize(text)
    for term in terms:
        for hit in TermMatcher([TermList("t", (term,), ())]).find(normalized.text):
            # Overlapping places of one term have become one, so it begins and ends with the term.
            place = folded_term(normalized.text[hit.start : hit.end])
            assert place.startswith(term) and place.endswith(term)
            if term[0].isascii() and term[0].isalnum() and hit.start:
                assert not re.match("[a-z0-9_]", normalized.text[hit.start - 1], re.IGNORECASE)


@settings(deadline=None)
@given(st.text("ab ", max_size=30), st.text("ab ", max_size=30), st.sampled_from(["foo", "foo bar", "炸弹"]))
def test_a_term_is_found_wherever_it_stands_alone(before: str, after: str, term: str) -> None:
    """Between spaces a term is always found, exactly there."""
    text = f"{before} {term} {after}"
    assert _found(text, term) == [term]


def test_many_terms_are_walked_once() -> None:
    """Ten thousand terms that share their beginnings find what one of them alone finds."""
    terms = [f"word{i % 100} tail{i}" for i in range(10_000)]
    matcher = _matcher(*terms)
    text = "word7 tail107 word7 tail108 word8  TAIL108"
    assert [text[hit.start : hit.end] for hit in matcher.find(text)] == ["word7 tail107", "word8  TAIL108"]
