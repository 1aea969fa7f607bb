"""The second reading of a text: which transforms, in which order, and whether there is one at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from guard.normalize import Normalized
from guard.unmask import characters, decode, letters, spelled
from guard.unmask.edits import Edit, apply
from guard.unmask.looks import Looks

# What is encoded may be encoded again.
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """A second reading.

    Attributes:
        normalized: Its text, with the way back to the ORIGINAL.
        transforms: Names of what was undone, in the order of :data:`TRANSFORMS`; not empty.
    """

    normalized: Normalized
    transforms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Transform:
    """What undoes a disguise.

    Attributes:
        trace: A cheap look: False only if the text is not disguised in this way.
        edits: A close look: what to read in the place of what; none if the text is not disguised.
    """

    trace: Callable[[Looks], bool]
    edits: Callable[[str], Sequence[Edit]]


_ENCODINGS: Mapping[str, _Transform] = {
    "percent": _Transform(decode.may_be_percent, decode.percent),
    "escapes": _Transform(decode.may_be_escapes, decode.escapes),
    "base64": _Transform(decode.may_be_base64, decode.base64_text),
    "hex": _Transform(decode.may_be_hex, decode.hex_text),
}
_DISGUISES: Mapping[str, _Transform] = {
    "marks": _Transform(letters.may_be_marks, letters.marks),
    "homoglyphs": _Transform(letters.may_be_homoglyphs, letters.homoglyphs),
    "inserted_symbols": _Transform(characters.may_be_symbols, characters.symbols),
    "split_letters": _Transform(spelled.may_be_split, spelled.split_letters),
    "emoji": _Transform(characters.may_be_pictures, characters.pictures),
    "leet": _Transform(letters.may_be_leet, letters.leet),
    "reversed": _Transform(letters.may_be_backwards, letters.backwards),
}

#: Names of the transforms, in the order in which they are undone.
TRANSFORMS: tuple[str, ...] = (*_ENCODINGS, *_DISGUISES)


def unmask(normalized: Normalized) -> Reading | None:
    """The second reading of a text, or None: an ordinary text has none.

    Args:
        normalized: The text after level 1.

    Returns:
        A text with everything undone that was found, so that disguises may stand in one another: an encoding in an
        encoding (to three layers), look-alikes in what was encoded, leet letter by letter.
    """
    if not has_trace(normalized.text):
        return None
    undone: set[str] = set()
    current = normalized
    for _ in range(_ROUNDS):
        before, current = current, _undo(current, _ENCODINGS, undone)
        if current is before:
            break
    current = _undo(current, _DISGUISES, undone)
    if not undone or not current.text.strip() or current.text == normalized.text:
        return None
    return Reading(current, tuple(name for name in TRANSFORMS if name in undone))


def _undo(text: Normalized, transforms: Mapping[str, _Transform], undone: set[str]) -> Normalized:
    looks = Looks.of(text.text)
    for name, transform in transforms.items():
        if transform.trace(looks) and (edits := transform.edits(text.text)):
            text = apply(text, edits)
            looks = Looks.of(text.text)
            undone.add(name)
    return text


def has_trace(text: str) -> bool:
    """True if a transform would take a close look at a text: what most texts are spared."""
    looks = Looks.of(text)
    return any(transform.trace(looks) for transform in (*_ENCODINGS.values(), *_DISGUISES.values()))
