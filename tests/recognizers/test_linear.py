"""Hostile texts: the work grows with the length of a text and not with its square.

Two things are looked at. The calls that Python makes are counted, on a text and on one twice as long. What happens
inside a regular expression cannot be counted, so the long texts also run under a bound on processor time which is so
wide that only the square of their length, minutes of work, can reach it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from guard.normalize import Normalized
from guard.policy.load import parse_policy
from guard.recognizers import detect

_LONG = 100_000
# Seconds of this process's processor time; a text takes well under one.
_BOUND = 20.0

_HOSTILE = [
    *("1", "12 ", "1-", "1.", "1:", "1 (", "13812345678", "138 ", "+86 ", "+1", "0", "4111 ", "4111111111111111 "),
    *("@", "a@", "a.", "a@b.", "a@b.c", "a-", "@.", "x@y.zz "),
    *("A1", "A", "AB", "E1", "DE89", "DE89 3704 ", "AB12 ", "P<", "[A-", "京A", "京A1", "A123456(", "12345678A "),
    *("路1号", "1号", "区", "路", "北京市", "路1号1栋", "一", "在", "市区路1-1-1", "路1号小区"),
    *("http://", "http://a", "www.", "www.a.", "a.com/", "t.cn/", "://", "(", ")", "http://a("),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----A", "A: b\n", "\\n"),
    *(
        "eyJ",
        "eyJhbGci.",
        "eyJhbGciOiJ.eyJ",
        "sk-",
        "sk-a1",
        "AKIA",
        "SG.",
        "xoxb-",
        "api_key=",
        "password: ",
        "key=a1B",
    ),
    *("密码：", "is", "phone ", "tel: 1 ", "SSN 1", "order 1", "护照E1", "IP 1.1.1.", "2001:", "2001:db8:", "::"),
]


@contextmanager
def _bounded() -> Iterator[None]:
    """Fail once the block has used much more processor time than it may need."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"more than {_BOUND:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _BOUND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _calls(text: str) -> int:
    """How many calls, of Python and of C functions, the search makes."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    normalized = Normalized(text, len(text))
    before = sys.getprofile()
    sys.setprofile(see)
    try:
        detect(normalized)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", _HOSTILE)
def test_twice_the_text_is_twice_the_calls(piece: str) -> None:
    """The calls at most double with the text."""
    half = piece * (2_000 // len(piece))
    assert _calls(half * 2) <= 2 * _calls(half) + 200


@pytest.mark.parametrize("piece", _HOSTILE)
def test_a_long_text_takes_its_time_and_no_more(piece: str) -> None:
    """A hundred thousand characters are looked through, alone and inside of what looks like an address."""
    text = (piece * (_LONG // len(piece) + 1))[:_LONG]
    with _bounded():
        for form in (text, f"a@{text}@a.com"):
            detect(Normalized(form, len(form)))


def test_a_policys_patterns_are_linear_whatever_they_say() -> None:
    """A pattern that takes a backtracking matcher years is searched for in a text of a hundred thousand characters."""
    policy = parse_policy(
        "version: 1\nname: p\nrecognizers: [{name: slow, patterns: ['(a+)+[bc]', '(a|aa)+[bc]', 'a.*a.*a.*b']}]\n"
        "rules: [{id: a, category: custom.slow, threshold: 0.5, action: block}]\n",
        "p.yaml",
    )
    text = "a" * _LONG
    with _bounded():
        assert detect(Normalized(text, len(text)), policy.recognizers) == ()
