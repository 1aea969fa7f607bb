"""What a pattern has begun is found wherever a text is cut, and nothing is found where it can begin no more."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.patterns import checked_pattern
from guard.recognizers import RECOGNIZERS
from guard.unfinished import unfinished, unfinished_re2

_FORMS = [
    pytest.param(pattern, id=f"{name}-{index}")
    for name, recognizer in RECOGNIZERS.items()
    for index, pattern in enumerate(recognizer.patterns)
]


@pytest.mark.parametrize("pattern", _FORMS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_beginning_of_every_form_is_found(pattern: re.Pattern[str], data: st.DataObject) -> None:
    """A match that is cut anywhere is found where it begins, whatever stands before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = data.draw(st.from_regex(pattern, fullmatch=True).filter(lambda text: bool(pattern.match(text))))
    match = pattern.match(value)
    assert match
    search = unfinished(pattern.pattern, pattern.flags)
    cut = data.draw(st.integers(1, match.end()))
    assert search.find(value[:cut], 0, 1) == 0
    assert search.find(f"{'好' * 9}，{value[:cut]}", 0, 11) is not None
    if search.longest is not None:
        assert match.end() <= search.longest


_OWN = [
    (r"EMP-[0-9]{6}", "EMP-123456"),
    (r"\bEMP-[0-9]{6}\b", "EMP-123456"),
    (r"(?i)emp[[:alpha:]]\pL\p{Greek}\x{41}", "EMPabΩA"),
    (r"(?:ab|(?i)cd|ef){2,3}?x", "abEFEFx"),
    (r"(?P<a>A+)(?P<b>[]a]+)[^]b]", "AAa]]c"),
    (r"(a(b(c(d)*)+)?){2}$", "abcddabc"),
    (r"^A\.b\\c", "A.b\\c"),
    (r"[\]\-a]{2,}\d\w\s\S", "]-1a b"),
    (r"合同[0-9]+号(?:之[一二三])?", "合同12号之三"),
    (r"x{0}ab*c+d?", "abbccd"),
]


@pytest.mark.parametrize(("pattern", "value"), _OWN)
@pytest.mark.parametrize("any_case", [False, True])
def test_every_beginning_of_an_own_pattern_is_found(pattern: str, value: str, any_case: bool) -> None:
    """RE2's own classes, flags and groups are read, too."""
    search = unfinished_re2(checked_pattern(pattern), any_case=any_case)
    assert search is not None
    for cut in range(1, len(value) + 1):
        assert search.find(value[:cut], 0, 1) == 0, value[:cut]
    assert search.find(value + "~", 0, 1) is None and search.find("~", 0, 1) is None


def test_what_cannot_be_read_or_is_too_large_has_no_search() -> None:
    """Whoever writes such a pattern has the lookahead alone."""
    assert unfinished_re2(r"\Qa.b\E+") is None
    assert unfinished_re2("(?:(?:" * 30 + "a" + "){9}b)" * 30 + "{9}") is None


@given(st.from_regex(r"\A(?:[ab.]|\[ab\]|\(\?:|\)|\||[*+?]|\{1,3\}){0,14}\Z"), st.text("abc", max_size=12))
@settings(deadline=None)
def test_any_pattern_is_read_like_re2_reads_it(pattern: str, text: str) -> None:
    """Whatever match a text has is found at each of its cuts, at its beginning or before."""
    try:
        checked_pattern(pattern)
        compiled = re.compile(pattern)
    except (ValueError, re.error):
        return
    search = unfinished_re2(pattern)
    match = compiled.search(text)
    if search is None or match is None:
        return
    for cut in range(match.start() + 1, match.end() + 1):
        found = search.find(text[:cut], 0, cut)
        assert found is not None and found <= match.start()
