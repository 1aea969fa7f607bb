"""Where sentences end, in Chinese and in English; the one splitter of guard and of its training.

A few rules and no model: what ends a sentence in both scripts, closing quotes behind it, line ends. What it gets wrong
costs a rewrite half a sentence more, or an abbreviation too many, never a wrong offset.
"""

from __future__ import annotations

import re

from guard.borders import torn

#: The end of a sentence. A full stop inside a number or a name, and a question mark inside an address, end none.
END = re.compile(r"(?:[。｡！？]+|[!?]+(?![A-Za-z0-9_=/&])|[.．]+(?=[\s\"'”’)]|\Z)|\n)[!?！？。]*[”\"'’)」』）】]*\s*")
_ABBREVIATION = re.compile(r"(?:^|[\s(\"'“])(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|U\.S|U\.K|[A-Z])\.\s+\Z")
_LONGEST_ABBREVIATION = 16


def sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of a text as [start, end), white space behind each included; together they are the text.

    Pieces of less than two letters, such as the number of a list's item, belong to the sentence before.
    """
    out: list[tuple[int, int]] = []
    start = 0
    for end in [*(match.end() for match in END.finditer(text)), len(text)]:
        if end == start or (end < len(text) and (torn(text, end) or _abbreviated(text, end))):
            continue
        if out and sum(char.isalpha() for char in text[start:end]) < 2:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
        start = end
    return out


def _abbreviated(text: str, end: int) -> bool:
    return _ABBREVIATION.search(text[max(0, end - _LONGEST_ABBREVIATION) : end]) is not None
