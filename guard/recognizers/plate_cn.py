"""Chinese licence plates (GA 36-2018): a province, a letter, and five characters, or six of an electric vehicle.

I and O are not used, and of five characters at most two are letters. Trailers, driving schools and the police have
a character at the end instead. A pattern without a checksum: the score is moderate, higher near 车牌.

Found:
    - 车牌号[京A12345]
    - 我的车是[沪B·9K321]
    - [粤BD12345]停在门口
    - 车牌 [浙A 8F3L6]
    - [苏E1234学]在倒车

Not found:
    - 京A1234
    - 京A123456789
    - 京I12345
    - 京AABCDE
    - 川菜馆 A12345
    - 粤B2B电商12345
    - 新A股代码是 600000
    - 第京A12345O号
"""

from __future__ import annotations

import re

from guard.recognizers.labels import context, near
from guard.recognizers.match import Match

_LABELLED = 0.8
_ALONE = 0.6

_LETTER = "A-HJ-NP-Z"
_PLATE = re.compile(
    rf"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][{_LETTER}](?:[ .·•‧-]| ?· ?)?"
    rf"(?:[DF][{_LETTER}0-9][0-9]{{4}}|[0-9]{{5}}[DF]|[{_LETTER}0-9]{{4}}[学警挂港澳]|([{_LETTER}0-9]{{5}}))"
    "(?![0-9A-Za-z_])"
)
_CONTEXT = context("车牌|牌照|号牌|车号|车辆|轿车|的车|车主", "plate|licen[cs]e|car|vehicle")


class PlateCn:
    """Finds Chinese licence plates. Stateless."""

    name = "plate_cn"
    category = "pii.plate_cn"
    patterns = (_PLATE,)

    def find(self, text: str) -> list[Match]:
        """Every plate in a normalised text, in order."""
        return [
            Match(m.start(), m.end(), _LABELLED if near(_CONTEXT, text, *m.span()) else _ALONE)
            for m in _PLATE.finditer(text)
            if m[1] is None or sum(map(str.isdigit, m[1])) >= 3
        ]
