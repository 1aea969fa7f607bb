"""Encodings: percent signs, escapes, base64 and hexadecimal digits, where what they hold is natural text.

Bounded: three layers deep, and no more than :data:`MOST_DECODED` characters of a text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from guard.normalize import normalize
from guard.unmask.edits import Edit
from guard.unmask.looks import Looks
from guard.unmask.words import is_natural

#: Characters that come out of all encodings of one text.
MOST_DECODED = 16_384

_DEPTH = 3
_FEWEST_UNITS, _FEWEST_IN_LINK = 2, 5
# Longer than what may come out of it, whatever the encoding.
_LONGEST_BLOB = 6 * MOST_DECODED
_CHUNK = re.compile(r"\S+")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_BYTES = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")
_POINT = re.compile(
    r"\\u\{([0-9A-Fa-f]{1,6})\}|\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})|&#[xX]([0-9A-Fa-f]{1,6});"
    r"|[Uu]\+([0-9A-Fa-f]{4,6})(?: (?=[Uu]\+))?|&#([0-9]{1,7});"
)
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_=-])(?:(?:[A-Za-z0-9+/]{60,76}\r?\n){0,999}[A-Za-z0-9+/_-]{16,}={0,2}"
    r"|[A-Za-z0-9+/_-]{6,15}={1,2})(?![A-Za-z0-9+/_=-])"
)
_HEX = re.compile(
    r"(?<![A-Za-z0-9])(?:0[xX])?(?:(?:[0-9A-Fa-f]{2}){4,}|[0-9A-Fa-f]{2}(?:[ :,-](?:0[xX])?[0-9A-Fa-f]{2}){3,})"
    r"(?![A-Za-z0-9])"
)
_NOT_HEX = re.compile(r"0[xX]|[^0-9A-Fa-f]")


_DIGITS = frozenset("0123456789")
_ESCAPING = frozenset("\\&+")
_LONG = re.compile(r"[A-Za-z0-9+/_-]{16}")
_PADDED = re.compile(r"[A-Za-z0-9]==?(?![=\w])")
_PAIRS = re.compile(
    r"[0-9](?:[0-9A-Fa-f]{7}|[0-9A-Fa-f][ :,-](?:0[xX])?[0-9A-Fa-f]{2}[ :,-](?:0[xX])?[0-9A-Fa-f]{2}[ :,-])"
)


def may_be_percent(looks: Looks) -> bool:
    """A trace of :func:`percent`."""
    return "%" in looks.characters


def may_be_escapes(looks: Looks) -> bool:
    """A trace of :func:`escapes`."""
    return looks.has(_ESCAPING) and bool(_POINT.search(looks.text) or _BYTES.search(looks.text))


def may_be_base64(looks: Looks) -> bool:
    """A trace of :func:`base64_text`."""
    if looks.longest >= 16 and _LONG.search(looks.text):
        return True
    return "=" in looks.characters and bool(_PADDED.search(looks.text))


def may_be_hex(looks: Looks) -> bool:
    """A trace of :func:`hex_text`: digits, the first of a byte of a letter is one."""
    return looks.has(_DIGITS) and bool(_PAIRS.search(looks.text))


def percent(text: str) -> list[Edit]:
    """``%E4%BD%A0`` and ``how%20to``: the bytes of UTF-8 as URLs write them."""
    return _in_chunks(text, _percent_units)


def escapes(text: str) -> list[Edit]:
    r"""``\u4f60``, ``\x68``, ``&#104;`` and ``U+4F60``: code points as programs and pages write them."""
    return _in_chunks(text, _escape_units)


def base64_text(text: str) -> list[Edit]:
    """Base64 (RFC 4648, both alphabets, padded or not)."""
    return _blobs(text, _BASE64, _from_base64)


def hex_text(text: str) -> list[Edit]:
    """Hexadecimal digits of UTF-8, in a row or pair by pair."""
    return _blobs(text, _HEX, _from_hex)


def _blobs(text: str, pattern: re.Pattern[str], read: Callable[[str], str | None], depth: int = _DEPTH) -> list[Edit]:
    edits: list[Edit] = []
    room = MOST_DECODED
    for match in pattern.finditer(text):
        if len(match[0]) > _LONGEST_BLOB:
            continue
        inner = read(match[0])
        plain = None if inner is None else _innermost(inner, depth - 1)
        if plain is not None and len(plain) <= room:
            room -= len(plain)
            edits.append(Edit(match.start(), match.end(), normalize(plain).text))
    return edits


def _innermost(text: str, depth: int) -> str | None:
    """What is left when everything encoded in a text was decoded, if that is natural."""
    if is_natural(text):
        return text
    if not depth:
        return None
    for units in (_percent_units, _escape_units):
        if edits := list(units(text)):
            return _innermost(_replaced(text, edits), depth - 1)
    for pattern, read in ((_HEX, _from_hex), (_BASE64, _from_base64)):
        if pattern.fullmatch(text.strip()) and (inner := read(text.strip())) is not None:
            return _innermost(inner, depth - 1)
    return None


def _in_chunks(text: str, units: Callable[[str], Iterator[Edit]]) -> list[Edit]:
    """The units of those stretches without white space that become natural by them."""
    edits: list[Edit] = []
    room = MOST_DECODED
    # Code points may be written with spaces between them: then the whole text is the stretch.
    chunks = [(0, text)] if "U+" in text.upper() else [(m.start(), m[0]) for m in _CHUNK.finditer(text)]
    for offset, chunk in chunks:
        found = list(units(chunk))
        # A link may hold a name that is not ASCII.
        if not (_FEWEST_IN_LINK if "://" in chunk else _FEWEST_UNITS) <= len(found) <= room:
            continue
        if _innermost(_replaced(chunk, found), _DEPTH - 1) is not None:
            room -= len(found)
            edits += [Edit(offset + e.start, offset + e.end, normalize(e.text).text) for e in found]
    return edits


def _percent_units(text: str) -> Iterator[Edit]:
    for match in _PERCENT.finditer(text):
        yield from _utf8_units(match.start(), bytes.fromhex(match[0].replace("%", "")), 3)


def _escape_units(text: str) -> Iterator[Edit]:
    found = list(_point_units(text))
    for match in _BYTES.finditer(text):
        found += _utf8_units(match.start(), bytes.fromhex(match[0].replace("\\x", "")), 4)
    yield from sorted(found, key=lambda edit: edit.start)


def _point_units(text: str) -> Iterator[Edit]:
    half: tuple[int, int] | None = None  # start and code of the first half of a surrogate pair
    for match in _POINT.finditer(text):
        code = int(match[6]) if match[6] else int(next(group for group in match.groups() if group), 16)
        if 0xD800 <= code < 0xDC00:
            half = match.start(), code
            continue
        start = match.start()
        if 0xDC00 <= code < 0xE000:
            if half is None or half[0] + 6 != start:
                continue
            start, code = half[0], 0x10000 + ((half[1] - 0xD800) << 10) + (code - 0xDC00)
        half = None
        if code <= 0x10FFFF:
            yield Edit(start, match.end(), chr(code))


def _utf8_units(start: int, data: bytes, width: int) -> Iterator[Edit]:
    """One edit a character; bytes that are no UTF-8 stay as they are written."""
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        return
    for char in decoded:
        size = len(char.encode()) * width
        yield Edit(start, start + size, char)
        start += size


def _from_base64(blob: str) -> str | None:
    digits = "".join(blob.split()).rstrip("=").replace("-", "+").replace("_", "/")
    if len(digits) % 4 == 1:
        return None
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _from_hex(blob: str) -> str | None:
    try:
        return bytes.fromhex(_NOT_HEX.sub("", blob)).decode()
    except ValueError:
        return None


def _replaced(text: str, edits: list[Edit]) -> str:
    out, at = [], 0
    for edit in edits:
        out += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*out, text[at:]])
