"""Passport numbers: letters and digits without a checksum, so that a word must say what they are.

Chinese (E or G with eight characters and the older and the service passports), and the one or two letters with six
to eight digits, or nine digits, of most other countries. Near 护照 or passport the score is high; a Chinese
ordinary passport's number alone scores low, any other alone is not found. The second line of a machine-readable
page (ICAO 9303) carries check digits and is found by these.

Found:
    - 护照号码：[E12345678]
    - 护照 [EA1234567]
    - 她的护照是[G12345678]，请核对
    - passport no. [K1234567A]
    - US passport [912803456]
    - Passport number: [AB1234567]
    - [L898902C36UTO7408122F1204159ZE184226B<<<<<10]

Not found:
    - 护照办理需要 10 个工作日
    - passport photo 35x45
    - 订单 AB1234567
    - part K1234567A
    - 912803456
    - 型号 E12345678
    - passport ABCDEFGHI
    - 护照相关规定第 20230101 号
    - L898902C36UTO7408122F1204159ZE184226B<<<<<11
"""

from __future__ import annotations

import re

from guard.recognizers.labels import context, names_reference, near
from guard.recognizers.match import Match

_MACHINE_READABLE = 0.97
_LABELLED = 0.85
_ALONE = 0.3

_NUMBER = re.compile(
    r"(?<![0-9A-Za-z_-])(?:([EG][0-9]{8}|E[A-HJ-NP-Z][0-9]{7})|[A-Z]{1,2}[0-9]{6,8}|[A-Z][0-9]{7}[A-Z]|[DSP]E[0-9]{7}|[0-9]{9})"
    r"(?![0-9A-Za-z_-])"
)
_LINE = re.compile(r"[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]{14}[0-9<][0-9](?![0-9A-Za-z<])")
_CONTEXT = context("护照", "passport")
_SEVEN = re.compile("[0-9]{6}")


class Passport:
    """Finds passport numbers. Stateless."""

    name = "passport"
    category = "pii.passport"
    patterns = (_NUMBER, _LINE)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text."""
        if not _SEVEN.search(text):
            return []
        found = [Match(m.start(), m.end(), _MACHINE_READABLE) for m in _LINE.finditer(text) if _sound(m[0])]
        for m in _NUMBER.finditer(text):
            if near(_CONTEXT, text, *m.span()):
                found.append(Match(m.start(), m.end(), _LABELLED))
            elif m[1] and not names_reference(text, m.start()):
                found.append(Match(m.start(), m.end(), _ALONE))
        return found


def _sound(line: str) -> bool:
    """The check digits of number, birth, expiry and the whole (ICAO 9303, part 4)."""
    whole = line[:10] + line[13:20] + line[21:43]
    return all(
        _check(part) == int(digit)
        for part, digit in ((line[:9], line[9]), (line[13:19], line[19]), (line[21:27], line[27]), (whole, line[43]))
    )


def _check(part: str) -> int:
    values = (0 if char == "<" else int(char, 36) for char in part)
    return sum(weight * value for weight, value in zip((7, 3, 1) * 15, values, strict=False)) % 10
