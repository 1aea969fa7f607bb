"""What people and programs write that only looks like personal data or a key."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalize import normalize
from guard.recognizers import detect

#: What a policy needs that shall not act on patterns which are often something else; the default policy's.
_ACTS = 0.5

_FRIENDS = {
    "order numbers": [
        "订单号：20231105123456789",
        "订单 13812345678 已发货",
        "Order #4111111111111111",
        "快递单号 SF1381234567890",
    ],
    "timestamps": ["1700000000", "1700000000123", "2023-11-05T12:30:45.123Z", "20231105123045", "时间戳1700000000000"],
    "versions": ["v1.2.3.4", "版本 10.0.19041.1237", "Chrome/119.0.6045.105", "numpy==1.26.4", "kernel 5.15.0-91"],
    "ids in code": [
        "task_13812345678",
        "user.id = 100245",
        "0xdeadbeefcafe",
        "row_4111111111111111",
        "EC2 i-0abcd1234efgh5678",
    ],
    "books": ["ISBN 978-7-302-51234-5", "ISBN-10 7-302-51234-5", "ISSN 1000-1234", "DOI 10.1000/182.4111"],
    "prices": ["¥13812345678", "$1,381.23", "13812345678元", "1381-2345-678 USD", "价格 1,299.00 元"],
    "measures": ["39.9042, 116.4074", "N39°54'15\" E116°24'26\"", "150cm x 60cm", "6.02214076e23", "3.14159265358979"],
    "hardware": ["00:1A:2B:3C:4D:5E", "00-1A-2B-3C-4D-5E", "IMEI 490154203237517", "型号 SM-G9910"],
    "hashes": [
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "git checkout 9fceb02d0ae598e95dc970b74767f19372d61af8",
    ],
    "numbers of the law": ["第13条第2款", "GB/T 2260-2007", "[2023]第138号", "ISO 27001:2022", "RFC 5322"],
    "sport and dates": ["3:2:1", "1999-12-31", "2024/02/29 - 2024/03/05", "比分 21-19 21-18", "2023年11月5日12时30分"],
    "code": [
        "std::vector<int> v; a::b::c();",
        "for i in range(10): print(i @ x.T)",
        "const key = process.env.API_KEY;",
        'password = getpass.getpass("Password: ")',
        "SELECT * FROM users WHERE id = 13812",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    ],
}


def _found(text: str) -> list[tuple[str, str]]:
    detections = detect(normalize(text))
    return [(d.source, text[d.span.start : d.span.end]) for d in detections if d.score >= _ACTS and d.category != "url"]


@pytest.mark.parametrize("text", [text for texts in _FRIENDS.values() for text in texts])
@pytest.mark.parametrize("frame", ["{}", "请看：{}，谢谢", "see {} please", "（{}）"])
def test_a_false_friend_is_left_alone(frame: str, text: str) -> None:
    """Alone and in a sentence of either language nothing in it is sure enough to be acted on."""
    assert _found(frame.format(text)) == []


@given(st.uuids(version=4))
def test_a_uuid_is_nothing_else(value: uuid.UUID) -> None:
    """No part of an identifier is taken for somebody's number, or for a key."""
    assert _found(f"id {value}") == _found(f"token: {value}") == []


@given(st.binary(min_size=16, max_size=32))
def test_a_hash_is_nothing_else(value: bytes) -> None:
    """Hexadecimal digits of any length are no number, but where they are digits alone."""
    text = value.hex()
    assert _found(f"commit {text}a") == []


@given(st.integers(1_000_000_000, 2_000_000_000))
def test_seconds_are_no_phone_number(value: int) -> None:
    """Unix time, in seconds or milliseconds, is left alone."""
    assert _found(f"ts={value} {value}000") == []
