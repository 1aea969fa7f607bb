"""Email addresses (RFC 5322's dot-atom form, which is what people write; quoted local parts are not found).

The domain needs a dot and ends in letters; a number of seven digits and more may stand right behind it. An
address after ``://`` is a login of a URL; a path behind ``host:`` is a repository's address; ``icon@2x.png`` is
a file.

Found:
    - 联系我：[zhangsan@example.com]，谢谢
    - 邮箱是[li.si+work@mail.example.com.cn]请查收
    - Write to [first.last@sub.example.co.uk].
    - <[O'Neil_1@example.org]>
    - mailto:[info@example.com]?subject=hi
    - 联系[wang.wu@example.com]13800138000

Not found:
    - @zhangsan 你好
    - user@localhost is not routed
    - npm install react@18.2.0
    - git clone git@example.com:team/project.git
    - scp notes.txt anna@files.example.com:/home/anna
    - assets/icon@2x.png
    - https://user:secret@example.com/path
    - 3 apples @ 2.50 each
    - a@b
    - name@example..com
    - name@example.com2
"""

from __future__ import annotations

import re

from guard.recognizers.match import Match

_SCORE = 0.95

_LOCAL = "A-Za-z0-9\u00c0-\u024f\u0400-\u04ff._%+'-"
# The look-behind lets a match begin only where a run of such characters begins: linear time.
_ADDRESS = re.compile(
    rf"(?<![{_LOCAL}])[{_LOCAL}]{{1,64}}@"
    r"((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+)"
    r"(xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24})(?![A-Za-z_-]|@|[0-9]{1,6}(?![0-9]))"
)
_URL_LOGIN = re.compile(r"://[^\s/@]*$")
_REMOTE_PATH = re.compile(r":[\w~.-]*/")
# Image densities: name@2x.png.
_DENSITY = re.compile(r"\d+(?:\.\d+)?x\.")
_URL_REACH = 256


class Email:
    """Finds email addresses. Stateless."""

    name = "email"
    category = "pii.email"
    patterns = (_ADDRESS,)

    def find(self, text: str) -> list[Match]:
        """Every address in a normalised text, in order."""
        if "@" not in text:
            return []
        found: list[Match] = []
        for match in _ADDRESS.finditer(text):
            # A quotation mark in front is the sentence's, one inside is the name's.
            local = text[match.start() : match.start(1) - 1].lstrip("'")
            if _dot_atom(local) and _plausible(text, match):
                found.append(Match(match.start(1) - 1 - len(local), match.end(), _SCORE))
        return found


def _dot_atom(local: str) -> bool:
    return bool(local) and not local.startswith(".") and not local.endswith(".") and ".." not in local


def _plausible(text: str, match: re.Match[str]) -> bool:
    if _DENSITY.match(match[1]) or _REMOTE_PATH.match(text, match.end()):
        return False
    return not _URL_LOGIN.search(text[max(0, match.start() - _URL_REACH) : match.start()])
