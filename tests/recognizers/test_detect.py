from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalize import normalize
from guard.recognizers import RECOGNIZERS, detect
from guard.recognizers.checksums import luhn
from guard.types import RECOGNIZER_CATEGORIES, Detection, Span

# Standard samples: the identity number of GB 11643, card numbers of payment networks' test suites.
_ID = "11010519491231002X"
_CARD = "6200000000000005"
_MOBILE = "13800138000"

_PIECES = st.sampled_from([_ID, _CARD, _MOBILE, "a@example.com", "+86", "-", " ", "010", "62781234", "电话", "x", "，"])
_TEXT = st.one_of(st.text(), st.lists(_PIECES, max_size=12).map("".join), st.text("0123456789 -.()+@xX", max_size=60))


def _found(text: str) -> list[tuple[str, str]]:
    return [(d.category, text[d.span.start : d.span.end]) for d in detect(normalize(text))]


def _check_digit(digits: str) -> str:
    return next(digit for digit in "0123456789" if luhn(digits + digit))


def test_the_recognizers_have_the_categories_that_rules_may_name() -> None:
    """The registry's keys are the recognizers' names; their categories and the parents of these are all there are."""
    assert {recognizer.name: recognizer for recognizer in RECOGNIZERS.values()} == dict(RECOGNIZERS)
    categories = {recognizer.category for recognizer in RECOGNIZERS.values()}
    assert {*categories, *(category.split(".")[0] for category in categories)} == {*RECOGNIZER_CATEGORIES}


def test_a_detection_names_category_span_score_and_source() -> None:
    """Spans are code points of the original, whatever normalisation removed or folded before them."""
    text = "\u200b㍿😀：１３８００１３８０００！"
    assert detect(normalize(text)) == (Detection("pii.phone", Span(4, 15), 0.8, "phone"),)


def test_detections_come_in_the_order_of_the_text() -> None:
    """Different recognizers' detections are sorted by place."""
    text = f"{_CARD}，{_MOBILE}，a@example.com，{_ID}"
    assert [category for category, _ in _found(text)] == ["pii.bank_card", "pii.phone", "pii.email", "pii.id_card"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"身份证{_ID}", [("pii.id_card", _ID)]),
        (f"卡号 {_CARD}", [("pii.bank_card", _CARD)]),
        ("卡号 6200 1380 0138 0003", []),
        (f"+86{_MOBILE}", [("pii.phone", f"+86{_MOBILE}")]),
        (f"{_MOBILE}@example.com", [("pii.phone", _MOBILE), ("pii.email", f"{_MOBILE}@example.com")]),
    ],
)
def test_one_reading_of_the_same_digits(text: str, expected: list[tuple[str, str]]) -> None:
    """Digits are an identity number, or a card, or a phone; an address made of a phone number is both."""
    assert sorted(_found(text)) == sorted(expected)


def test_an_identity_number_that_passes_for_a_card_is_an_identity_number() -> None:
    """Where two checksums hold for the same digits the stronger form stays."""
    # 62 begins a UnionPay number and the place codes of Gansu; one in ten identity numbers satisfies Luhn, too.
    both = [n for n in _identity_numbers() if luhn(n)]
    assert both
    assert [_found(n) for n in both] == [[("pii.id_card", n)] for n in both]


def _identity_numbers() -> list[str]:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    bodies = [f"620102180101{day:02d}{order:03d}" for day in range(1, 20) for order in (1, 12)]
    sums = [sum(w * int(d) for w, d in zip(weights, body, strict=True)) for body in bodies]
    return [body + "10X98765432"[total % 11] for body, total in zip(bodies, sums, strict=True) if total % 11 != 2]


@given(st.text("0123456789", min_size=13, max_size=16).map(lambda tail: "62" + tail))
def test_luhn_decides_about_a_card(body: str) -> None:
    """With the right check digit a number of a known issuer is found, with every other one it is not."""
    right = _check_digit(body)
    for digit in "0123456789":
        found = ("pii.bank_card", body + digit) in _found(f"({body}{digit})")
        # The same digits may be an identity number.
        assert found == (digit == right) or _found(body + digit)[0][0] == "pii.id_card"


@given(_TEXT)
def test_detections_never_break_the_text(text: str) -> None:
    """Any text has detections with spans inside of it, and readings of one kind never overlap."""
    detections = detect(normalize(text))
    for detection in detections:
        assert 0 <= detection.span.start < detection.span.end <= len(text)
        assert 0 < detection.score <= 1
        assert RECOGNIZERS[detection.source].category == detection.category
    numbers = [d.span for d in detections if d.category not in {"pii.email", "url"}]
    assert all(left.end <= right.start for left, right in pairwise(numbers))


def test_many_numbers_are_all_found() -> None:
    """A text full of numbers gives them all."""
    text = f"{_MOBILE}，" * 3000
    assert len(detect(normalize(text))) == 3000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://93.184.216.34/a now", {"url", "pii.ip"}),
        ("https://a.example/?mail=anna@example.com", {"url", "pii.email"}),
        ("密钥：sk-13812345678" + "a9f4c2e8b7d1530f6c", {"secret.api_key"}),
    ],
)
def test_what_may_stand_inside_of_something_else(text: str, expected: set[str]) -> None:
    """A link and an address hold other things and stay themselves; digits of a key are nothing but the key's."""
    assert {category for category, _ in _found(text)} == expected


@pytest.mark.parametrize(
    ("alone", "labelled"),
    [
        ("13812345678", "手机13812345678"),
        ("536-90-4399", "SSN 536-90-4399"),
        ("4111111111111111", "card 4111111111111111"),
        ("A123456789", "身份证A123456789"),
        ("93.184.216.34", "IP 93.184.216.34"),
        ("文三路123号", "家住文三路123号"),
        ("京A12345", "车牌京A12345"),
        ("E12345678", "护照E12345678"),
    ],
)
def test_a_word_near_by_makes_it_surer(alone: str, labelled: str) -> None:
    """The same characters score higher where the text says what they are."""
    bare, called = (max(d.score for d in detect(normalize(text))) for text in (alone, labelled))
    assert bare < called
