"""Web addresses: with a scheme, with ``www.``, or a bare domain of a common ending with a path.

No policy that ships acts on them: they are here for policies against links in answers or in posts.

Found:
    - 请看 [https://example.com/a?b=1#c]，谢谢
    - ([http://example.com/wiki/Guard_(dog)])
    - visit [www.example.co.uk] now
    - 点击[t.cn/A6xYz12]领取
    - <[ftp://files.example.org/pub/]>
    - See [https://user@example.com:8080/path].
    - 链接https://例子 不算，[https://example.net/]路径里的汉字也不算

Not found:
    - example.com is a domain
    - a.b.c and com/org/net
    - main.py/utils.py
    - 3.14/2
    - name@example.com
    - http:// alone
    - and/or
    - w.w.w.
    - version 1.2.io3
"""

from __future__ import annotations

import re

from guard.recognizers.match import Match

_SCORE = 0.95
_BARE = 0.7

# What may stand in an address; Chinese characters and their punctuation end it: they often follow without a space.
_REST = r"[^\s<>\"'`{}|\\^\[\]\u2e80-\u9fff\uac00-\ud7a3\uff00-\uffef]"
_SCHEME = re.compile(rf"(?<![0-9A-Za-z])(?:https?|ftps?|wss?)://[0-9A-Za-z\u00a1-\u2e7f]{_REST}*", re.IGNORECASE)
_WWW = re.compile(rf"(?<![0-9A-Za-z.@/-])www\.[0-9A-Za-z-]{{1,63}}\.[A-Za-z]{_REST}*", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<![0-9A-Za-z.@/_-])(?:[0-9A-Za-z-]{1,63}\.){1,4}(?:com|cn|net|org|io|me|cc|co|top|xyz|vip|ru|info|ly|gl|app|dev"
    rf"|shop|site|online|club|link|de|uk|jp|tk)/[0-9A-Za-z]{_REST}*",
    re.IGNORECASE,
)
_TRAILING = ".,;:!?*_~)"


class Url:
    """Finds web addresses. Stateless."""

    name = "url"
    category = "url"
    patterns = (_SCHEME, _WWW, _DOMAIN)

    def find(self, text: str) -> list[Match]:
        """Every address in a normalised text; a bare domain's only where no fuller form begins."""
        found = []
        if "://" in text:
            found += [_match(m, _SCORE) for m in _SCHEME.finditer(text)]
        if "www." in text.lower():
            found += [_match(m, _SCORE) for m in _WWW.finditer(text)]
        if "/" in text:
            found += [_match(m, _BARE) for m in _DOMAIN.finditer(text) if m[0][:4].lower() != "www."]
        return found


def _match(match: re.Match[str], score: float) -> Match:
    """Without the punctuation of the sentence; a bracket belongs to the address if it was opened there."""
    end = match.end()
    opened = match[0].count("(") - match[0].count(")")
    for char in reversed(match[0]):
        if char not in _TRAILING or (char == ")" and opened >= 0):
            break
        opened += char == ")"
        end -= 1
    return Match(match.start(), end, score)
