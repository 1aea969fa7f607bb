"""International bank account numbers (ISO 13616): country, two check digits, and the country's own length.

Written in capitals, in groups of four or without spaces, or in small letters without spaces. Length and checksum
(MOD 97-10) are both checked, so one in a hundred codes of the right length passes at most.

Found:
    - IBAN [DE89 3704 0044 0532 0130 00]
    - 账号 [GB29NWBK60161331926819]
    - [FR14 2004 1010 0505 0001 3M02 606] bei der Bank
    - pay to [NL91ABNA0417164300], please
    - my iban is [gb29nwbk60161331926819]
    - [CH93 0076 2011 6238 5295 7]

Not found:
    - DE89 3704 0044 0532 0130 01
    - GB29NWBK6016133192681
    - XX89 3704 0044 0532 0130 00
    - de89 is a house number
    - serial DE893704004405320
    - NO TICKET 9386 0111 1794 7
    - A commit of 40 digits: DE89370400440532013000DE89370400440532013
"""

from __future__ import annotations

import re

from guard.recognizers.checksums import mod97
from guard.recognizers.match import Match

_SCORE = 0.97

_NUMBER = re.compile(
    r"(?<![0-9A-Za-z_])(?:[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?|[a-z]{2}[0-9]{2}[0-9a-z]{11,30})"
    r"(?![0-9A-Za-z_])"
)

# Country -> length, from the IBAN registry.
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "VG": 24, "XK": 20,
}  # fmt: skip


class Iban:
    """Finds bank account numbers. Stateless."""

    name = "iban"
    category = "pii.iban"
    patterns = (_NUMBER,)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text, in order."""
        found = []
        for m in _NUMBER.finditer(text):
            length = _LENGTHS.get(m[0][:2].upper())
            end = length and _end(m[0], length)
            if end and mod97(m[0][:end].replace(" ", "")):
                found.append(Match(m.start(), m.start() + end, _SCORE))
        return found


def _end(candidate: str, length: int) -> int | None:
    """Where a number of this many characters ends; None unless it ends with a group: words may follow it."""
    seen = 0
    for index, char in enumerate(candidate):
        seen += char != " "
        if seen == length:
            whole = index + 1 == len(candidate) or candidate[index + 1] == " "
            return index + 1 if whole else None
    return None
