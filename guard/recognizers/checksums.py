"""Checksums of numbers that people carry: what tells a real number from digits of the same length.

Each one takes the characters without separators and says whether the check holds; what a checksum cannot read (a
letter where digits belong) fails. Those of :data:`CHECKSUMS` may be named by a policy's own recognizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

Checksum: TypeAlias = Callable[[str], bool]

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECK = "10X98765432"

# Multiplication in the dihedral group D5, and the permutation of each place.
_D5 = tuple(
    tuple((a + b) % 5 + 5 * (b > 4) if a < 5 else (a - b) % 5 + 5 * (b < 5) for b in range(10)) for a in range(10)
)
_PERMUTED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def luhn(text: str) -> bool:
    """The Luhn checksum of a string of digits (ISO/IEC 7812-1, annex B)."""
    if not _digits(text):
        return False
    total = sum(map(int, text[-1::-2]))
    return (total + sum(2 * int(digit) - 9 * (digit > "4") for digit in text[-2::-2])) % 10 == 0


def mod11_2(text: str) -> bool:
    """ISO 7064 MOD 11-2 over 17 digits and a check character (GB 11643: Chinese resident identity numbers)."""
    if len(text) != 18 or not _digits(text[:17]):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_RESIDENT_WEIGHTS, text[:17], strict=True))
    return _RESIDENT_CHECK[total % 11] == text[17].upper()


def mod97(text: str) -> bool:
    """ISO 7064 MOD 97-10 with the first four characters moved behind the others (ISO 13616: IBAN)."""
    if not (text.isascii() and text.isalnum() and "02" <= text[2:4] <= "98"):
        return False
    value = 0
    for char in text[4:] + text[:4]:
        value = (value * (10 if char.isdigit() else 100) + int(char, 36)) % 97
    return value == 1


def verhoeff(text: str) -> bool:
    """Verhoeff's checksum of a string of digits (J. Verhoeff, Error Detecting Decimal Codes, 1969)."""
    if not _digits(text):
        return False
    check = 0
    for place, digit in enumerate(reversed(text)):
        value = int(digit)
        for _ in range(place % 8):
            value = _PERMUTED[value]
        check = _D5[check][value]
    return check == 0


def weighted_mod11(text: str) -> bool:
    """Weights 10, 9, ... 1 and a sum that 11 divides; the last place may be X for ten (ISBN-10, NHS numbers)."""
    if len(text) < 2 or not _digits(text[:-1]) or text[-1] not in "0123456789Xx":
        return False
    values = [*map(int, text[:-1]), 10 if text[-1] in "Xx" else int(text[-1])]
    return sum(weight * value for weight, value in zip(range(len(values), 0, -1), values, strict=True)) % 11 == 0


#: What a policy may name as ``checksum``.
CHECKSUMS: Mapping[str, Checksum] = {
    "luhn": luhn,
    "mod11_2": mod11_2,
    "mod97": mod97,
    "verhoeff": verhoeff,
    "weighted_mod11": weighted_mod11,
}


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
