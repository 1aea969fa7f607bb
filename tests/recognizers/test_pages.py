"""Every recognizer's page (its file's docstring) holds: what it lists is found, or not found, exactly so.

A page has two lists, ``Found:`` and ``Not found:``, of one text a line. Brackets stand around what is found; a ``~``
is left out: with it a made-up key does not look like one to those who scan repositories for keys.
"""

from __future__ import annotations

import importlib
import re

import pytest

from guard.normalize import normalize
from guard.recognizers import RECOGNIZERS, detect


def _examples(name: str, section: str) -> list[str]:
    page = importlib.import_module(type(RECOGNIZERS[name]).__module__).__doc__ or ""
    part = re.search(rf"^{section}:\n((?:    - .*\n?|\s*\n)+)", page, re.MULTILINE)
    return re.findall(r"^    - (.*)$", part[1].replace("~", ""), re.MULTILINE) if part else []


_FOUND = [(name, line) for name in RECOGNIZERS for line in _examples(name, "Found")]
_NOT_FOUND = [(name, line) for name in RECOGNIZERS for line in _examples(name, "Not found")]


def _detected(name: str, text: str) -> list[str]:
    """The pieces of the original that one recognizer found."""
    found = [d for d in detect(normalize(text)) if d.source == name]
    return [text[d.span.start : d.span.end] for d in found]


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_a_page_has_examples_of_both_kinds(name: str) -> None:
    """A page shows at least five texts that are found and five that are near misses."""
    assert len(_examples(name, "Found")) >= 5
    assert len(_examples(name, "Not found")) >= 5


@pytest.mark.parametrize(("name", "line"), _FOUND)
def test_examples_are_found(name: str, line: str) -> None:
    """What stands in brackets on the page is found, and nothing else on that line."""
    text = re.sub(r"[\[\]]", "", line)
    assert _detected(name, text) == re.findall(r"\[(.*?)\]", line)


@pytest.mark.parametrize(("name", "line"), _NOT_FOUND)
def test_near_misses_are_not_found(name: str, line: str) -> None:
    """On a line of near misses nothing is found."""
    assert _detected(name, line) == []


@pytest.mark.parametrize(("name", "line"), _FOUND)
def test_examples_are_found_among_chinese_and_in_full_width(name: str, line: str) -> None:
    """An example is found with Chinese touching it, in full-width form, and with a zero-width character inside."""
    for piece in re.findall(r"\[(.*?)\]", line):
        label = re.sub(r"[\[\]]", "", line.split("[")[0])[-32:]
        wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in piece)
        split = piece[:3] + "\u200b" + piece[3:]
        for form in (piece, wide, split):
            assert _detected(name, f"好的，{label}{form}请") == [form]
