"""How random a string looks: what tells a key from a word, a placeholder or a counter."""

from __future__ import annotations

import math
import re
from collections import Counter

# Keys of documentation and of who wanted to say "put yours here".
_PLACEHOLDER = re.compile(
    r"example|sample|placeholder|change_?me|dummy|redacted|insert|your|my[_-]?(?:secret|key|token|pass)|test[_-]?key"
    r"|x{5,}|\*{3,}|\.{3,}|0{8,}|1234567890|abcdefghij|<|\$\{",
    re.IGNORECASE,
)


def bits(text: str) -> float:
    """Shannon entropy in bits per character, 0 to log2(len(text)); 0 for an empty text."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


def looks_random(text: str, least: float) -> bool:
    """True if a key's text is no placeholder and has at least so many bits per character.

    Args:
        text: The part of a key that varies.
        least: Bits per character; random hexadecimal digits have about 3.6 at 32 characters, base64 about 4.6 at 40.
    """
    return bits(text) >= least and not _PLACEHOLDER.search(text)
