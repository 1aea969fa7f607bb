"""Bank card numbers: an issuer's prefix with the length it uses, and the Luhn checksum (ISO/IEC 7812-1).

Known are UnionPay (62, and China's older debit cards), Visa, Mastercard, American Express, JCB, Discover,
Diners Club and Mir. Digits may stand in groups of four, or as the issuer prints them (4-6-5, 4-6-4, 6-13). Behind
a word such as card the checksum is enough, whoever the issuer. A number that the text calls an order or a serial
number is left alone.

Found:
    - 卡号：[6222021234567890128]，户名张三
    - 请打到[6200 0000 0000 0005]这张卡
    - My card is [4111 1111 1111 1111] exp 12/29
    - [5555-5555-5555-4444]
    - Amex [3782 822463 10005]
    - [4111111111111111]转账
    - card [4222222222222]
    - my maestro card is [6759649826438453]

Not found:
    - 校验位不对：4111 1111 1111 1112
    - 订单号：6200000000000005
    - 时间 20231105123045123
    - 没有这个发卡行：1234567812345670
    - 太长 41111111111111114111
    - 4111 11 1111 11 1111 11
    - 0000 0000 0000 0000
    - serial no. 4111111111111111
    - 4222222222222
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from guard.recognizers.checksums import luhn
from guard.recognizers.labels import names_card, names_reference
from guard.recognizers.match import Match

_SCORE = 0.9
# A label or printed groups leave little doubt.
_SURE = 0.96

# Most texts have no such run, and then nothing else is looked at.
_RUN = re.compile("[0-9](?:[ \\-\u2010\u2013]?[0-9]){11,}")
# What a number may be the whole of: the longest has nineteen digits.
_CARD_RUN = re.compile("[0-9](?:[ \\-\u2010\u2013]?[0-9]){11,18}")
_GROUP = re.compile("[0-9]+")
_FOURS = (4, 4, 4, 4)
# Group lengths as printed, the longest first: an expiry date may follow a number.
_PRINTED = ((*_FOURS, 3), (*_FOURS, 2), (*_FOURS, 1), _FOURS, (4, 6, 5), (4, 6, 4), (6, 13), (6, 10))
_FIRST = frozenset(lengths[0] for lengths in _PRINTED)
# Shortest number of any issuer below.
_SHORTEST = 12

# First and last prefix of a range, and the lengths its numbers have.
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (62, 62, frozenset({16, 17, 18, 19})),
    (9558, 9558, frozenset({19})),
    (103, 103, frozenset({19})),
    (60, 60, frozenset({16, 18, 19})),
    (68, 69, frozenset({16, 18, 19})),
    (4, 4, frozenset({16, 19})),
    (51, 55, frozenset({16})),
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),
    (37, 37, frozenset({15})),
    (3528, 3589, frozenset({16, 19})),
    (644, 659, frozenset({16, 19})),
    (300, 305, frozenset({14, 16})),
    (36, 36, frozenset({14})),
    (38, 39, frozenset({14, 16})),
    (2200, 2204, frozenset({16, 19})),
)

# Prefix -> lengths; a prefix has up to four digits.
_PREFIXES = {str(prefix): lengths for low, high, lengths in _ISSUERS for prefix in range(low, high + 1)}
# Lengths of any issuer's numbers, for what the text itself calls a card.
_ANY_LENGTH = range(13, 20)
_MAESTRO = ("5018", "5020", "5038", "5893", "6304", "6759", "6761", "6762", "6763")


class BankCard:
    """Finds bank card numbers. Stateless."""

    name = "bank_card"
    category = "pii.bank_card"
    patterns = (_CARD_RUN,)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text, in order."""
        return [match for run in _RUN.finditer(text) for match in _cards(text, run.start(), run.end())]


def _cards(text: str, start: int, end: int) -> Iterator[Match]:
    """The numbers in a run of groups of digits with single separators between them."""
    groups = [m.span() for m in _GROUP.finditer(text, start, end)]
    at = 0
    while at < len(groups):
        size = _card(text, groups, at)
        if size:
            first, last = groups[at][0], groups[at + size - 1][1]
            if not names_reference(text, first):
                sure = size > 1 or names_card(text, first)
                yield Match(first, last, _SURE if sure else _SCORE)
        at += size or 1


def _card(text: str, groups: list[tuple[int, int]], at: int) -> int:
    """How many groups of digits from ``at`` on make up a sound card number; 0 if none do."""
    start, end = groups[at]
    if _letter(text, start - 1):
        return 0
    if end - start >= _SHORTEST:
        digits = text[start:end]
        return int(not _letter(text, end) and (_sound(digits) or _called_card(text, start, digits)))
    if end - start not in _FIRST:
        return 0
    for lengths in _PRINTED:
        part = groups[at : at + len(lengths)]
        if tuple(end - start for start, end in part) != lengths or _letter(text, part[-1][1]):
            continue
        if _sound("".join(text[start:end] for start, end in part)):
            return len(part)
    return 0


def _letter(text: str, index: int) -> bool:
    return 0 <= index < len(text) and (text[index] == "_" or (text[index].isascii() and text[index].isalpha()))


def _called_card(text: str, start: int, digits: str) -> bool:
    """True for any issuer's number that passes the checksum, if the words in front of it say that it is a card."""
    length = len(digits) in _ANY_LENGTH or (len(digits) == 12 and digits.startswith(_MAESTRO))
    return length and luhn(digits) and names_card(text, start)


def _sound(digits: str) -> bool:
    return any(len(digits) in _PREFIXES.get(digits[:size], ()) for size in range(1, 5)) and luhn(digits)
