"""Names that stand for hidden values: ``<PHONE_1>``. Pure.

A value is named by what it is (the last part of its category) and a number: the next one in order of occurrence. Which
values are the same is told by their letters and digits alone, so ``138 0013 8000`` is ``13800138000``. No value is kept
beyond the text and the context that it stands in; a caller that wants the same numbers all through a conversation
keeps a :class:`guard.Placeholders` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from guard.normalize import normalize
from guard.types import TERM_PREFIX

#: What a placeholder looks like.
PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]{0,63}_[1-9][0-9]{0,5}>")


def kind_of(category: str) -> str:
    """What placeholders of a category begin with: ``PHONE`` for ``pii.phone``, ``TERM`` for the terms of any rule."""
    # A rule's name is no part of what leaves.
    return "TERM" if category.startswith(TERM_PREFIX) else category.rpartition(".")[2].upper()


def key_of(value: str) -> str:
    """What is the same for every way to write a value."""
    folded = normalize(value).text.casefold()
    return "".join(char for char in folded if char.isalnum()) or folded or value


class Numbers:
    """Which value has which name. Belongs to one text, or to one stream; not thread-safe."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Begin without names.

        Args:
            texts: What is known of the conversation. Placeholders that stand in it are somebody's names already.
        """
        self._taken: set[str] = set()
        self._names: dict[tuple[str, str], str] = {}
        self.read(texts)

    def read(self, texts: Iterable[str]) -> None:
        """Give no value a name that stands in these texts."""
        self._taken.update(name for text in texts for name in PLACEHOLDER.findall(text))

    def name(self, category: str, value: str) -> str:
        """The placeholder of a value: the one that it has, or the next that is free."""
        kind = kind_of(category)
        known = self._names.get((kind, key_of(value)))
        if known is None:
            known = next(name for name in _names(kind) if name not in self._taken)
            self.keep(category, value, known)
        return known

    def keep(self, category: str, value: str, name: str) -> None:
        """Remember the name of a value."""
        self._taken.add(name)
        self._names[kind_of(category), key_of(value)] = name

    def copy(self) -> Numbers:
        """The same names, to try something out."""
        other = Numbers()
        other._taken, other._names = set(self._taken), dict(self._names)
        return other


def _names(kind: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"<{kind}_{number}>"
