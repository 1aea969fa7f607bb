"""Chinese resident identity numbers: 18 characters with a checksum (GB 11643-1999, ISO 7064 MOD 11-2).

Six digits of the place, eight of the birth date, three of the order, one check character (0-9 or X). All
four are checked: place by its province, date by the calendar. The 15-digit numbers of before 1999 carry no
checksum, are void since 2013 and are not found. The groups 6-8-4 may stand apart.

Found:
    - 身份证号[11010519491231002X]，请核对
    - 我的身份证是[440524188001010014]。
    - ID card: [11010519491231002x]
    - [110105 19491231 002X]
    - [110105-19491231-002X]

Not found:
    - 校验位不对：110105194912310021
    - 没有二月三十日：110105194902300026
    - 没有这个省：990105194912310029
    - 订单 1101051949123100211
    - 流水号 20231105123456789012
    - 15 位旧号 110105491231002
"""

from __future__ import annotations

import re
from datetime import date

from guard.recognizers.checksums import mod11_2
from guard.recognizers.match import Match

_SCORE = 0.99

_NUMBER = re.compile(
    r"(?<!\d)([1-9]\d{5})([ -]?)((?:18|19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\2(\d{3}[0-9Xx])(?![0-9A-Za-z])",
    re.ASCII,
)
# First two digits of GB/T 2260: the provinces, with Taiwan, Hong Kong and Macao (also their residence
# permits, 81 to 83) and the permanent residence card of foreigners (91 to 95).
_PROVINCES = frozenset({*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55)}) | frozenset(
    {*range(61, 66), 71, *range(81, 84), *range(91, 96)}
)
# Most texts have no such digits, and then nothing else is looked at.
_SIX_DIGITS = re.compile("[0-9]{6}")


class IdCard:
    """Finds Chinese resident identity numbers. Stateless."""

    name = "id_card"
    category = "pii.id_card"
    patterns = (_NUMBER,)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text, in order."""
        if not _SIX_DIGITS.search(text):
            return []
        return [Match(m.start(), m.end(), _SCORE) for m in _NUMBER.finditer(text) if _valid(m)]


def _valid(match: re.Match[str]) -> bool:
    place, _, year, month, day, rest = match.groups()
    if int(place[:2]) not in _PROVINCES:
        return False
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return mod11_2(place + year + month + day + rest)
