"""A policy that extends another: two files become one value that still knows where each part was written.

What the file says wins; a rule that has the id of an inherited one, or a recognizer that has its name, changes the keys
that it gives and keeps the others, any other is added. Files are the operator's own, so a path may lead anywhere that
the process can read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from guard.errors import PolicyError, Problem
from guard.policy.source import Document, Loc, entries, read_bytes, read_document
from guard.policy.suggest import closest, did_you_mean

EXTENDS = "extends"
SUFFIXES = (".yaml", ".yml")

# What a file says about itself.
_OWN = frozenset({"version", "name", "description", "metadata", EXTENDS})
# Lists whose entries have names, and which key that is: an entry changes the inherited one of its name.
_NAMED = {"rules": "id", "recognizers": "name"}
# Of such an entry: what one of its own always says, with what it may not lack besides, and what it is called.
_OF_ITS_OWN = {
    "rules": ("rule", ("category", "terms"), ("action", "threshold")),
    "recognizers": ("recognizer", ("patterns",), ()),
}
# Inherited key by key; every other value is replaced as a whole.
_BY_KEY = frozenset({"streaming"})


@dataclass(frozen=True, slots=True)
class _Place:
    document: Document
    loc: Loc


@dataclass(frozen=True, slots=True)
class Merged:
    """A policy file with all that it inherits.

    Attributes:
        file: Its name, as problems show it.
        value: What both say together; None if its own file could not be read.
        problems: What is wrong with the files as YAML, and with how one extends the other.
        documents: The file itself, then what it extends, the nearest first.
        incomplete: True if what it extends could not be had, so that what is missing here says nothing.
    """

    file: str
    value: object
    problems: tuple[Problem, ...]
    documents: tuple[Document, ...]
    incomplete: bool = False
    _places: Mapping[Loc, _Place] = field(default_factory=dict)

    def is_reported(self, loc: Loc) -> bool:
        """True if the value at a place already has a problem."""
        place = self.place(loc)
        return place.loc in place.document.reported

    def problem(self, loc: Loc, what: str, cure: str, *, at_key: bool = False) -> Problem:
        """A problem at a value (or its key) in the file that it was written in."""
        place = self.place(loc)
        return place.document.problem(place.loc, what, cure, at_key=at_key)

    def place(self, loc: Loc) -> _Place:
        """The document in which a value was written, and where in it."""
        for length in range(len(loc), 0, -1):
            if found := self._places.get(loc[:length]):
                return _Place(found.document, (*found.loc, *loc[length:]))
        return _Place(self.documents[0], loc)


def read_chain(data: bytes, file: str, shipped: Path) -> tuple[Merged, ...]:
    """A policy and what it extends, each with what it inherits; the policy comes last.

    Args:
        data: The policy's bytes.
        file: Its name for problems; paths in it are relative to its directory.
        shipped: The directory of the policies that ship.
    """
    return _chain(read_document(data, file), shipped, (file,))


def _chain(document: Document, shipped: Path, above: tuple[str, ...]) -> tuple[Merged, ...]:
    alone = Merged(document.file, document.value, document.problems, (document,))
    named = document.value.get(EXTENDS) if isinstance(document.value, dict) else None
    if not isinstance(named, str) or not named.strip():
        return (alone,)
    path = _named(document, named, shipped)
    found = _read(document, named, path, above) if isinstance(path, Path) else path
    if isinstance(found, Problem):
        return (replace(alone, problems=(*alone.problems, found), incomplete=True),)
    ancestors = _chain(found, shipped, (*above, found.file))
    return (*ancestors, _merge(document, ancestors[-1]))


def _named(document: Document, named: str, shipped: Path) -> Path | Problem:
    """``base.yaml`` and ``../base.yaml`` are files, from this one's directory; ``default`` is a policy that ships."""
    if named.endswith(SUFFIXES) or "/" in named:
        return Path(document.file).parent / named
    path = shipped / f"{named}{SUFFIXES[0]}"
    if path.is_file():
        return path
    names = sorted(file.stem for file in shipped.glob("*.yaml") if not file.stem.endswith("_test"))
    cure = did_you_mean(named, names) or f"a file such as ./{named}.yaml, or one of {', '.join(names)}"
    return document.problem((EXTENDS,), f"no policy named {named} ships", cure)


def _read(document: Document, named: str, path: Path, above: tuple[str, ...]) -> Document | Problem:
    real = [os.path.realpath(file) for file in above]
    if (here := os.path.realpath(path)) in real:
        first = Path(above[0]).parent
        circle = " -> ".join(os.path.relpath(file, first) for file in (*above[real.index(here) :], str(path)))
        return document.problem((EXTENDS,), f"extends goes in a circle: {circle}", "remove one of them")
    try:
        return read_document(read_bytes(path), str(path))
    except PolicyError as error:
        cure = f"a path from {Path(document.file).parent}/, or the name of one that ships"
        return document.problem((EXTENDS,), f"{named}: {error.problems[0].what}", cure)


def _merge(document: Document, parent: Merged) -> Merged:
    own, inherited = document.value, parent.value
    if isinstance(inherited, dict):
        document = _without_misnamed(document, inherited)
    documents = (document, *parent.documents)
    problems = (*parent.problems, *document.problems)
    if not isinstance(own, dict) or not isinstance(inherited, dict):
        return Merged(document.file, own, problems, documents, incomplete=True)
    merging = _Merging(document, parent)
    value = merging.top(own, inherited)
    return Merged(document.file, value, problems, documents, parent.incomplete, merging.places)


class _Merging:
    """Puts a value together and notes where its parts come from. Used once."""

    def __init__(self, document: Document, parent: Merged) -> None:
        self.places: dict[Loc, _Place] = {}
        self._document = document
        self._parent = parent

    def top(self, own: Mapping[str, object], inherited: Mapping[str, object]) -> dict[str, object]:
        out: dict[str, object] = {}
        for key in dict.fromkeys((*inherited, *own)):
            if key in _OWN and key not in own:
                continue
            mine, theirs = own.get(key), None if key in _OWN else inherited.get(key)
            if key in _NAMED and isinstance(theirs, list) and (key not in own or isinstance(mine, list)):
                out[key] = self._named(key, mine if isinstance(mine, list) else [], theirs)
            elif key == "allow" and isinstance(mine, list) and isinstance(theirs, list):
                out[key] = self._listed((key,), theirs, mine)
            else:
                out[key] = self._value((key,), (key,), (key,), own, inherited)
        return out

    def _value(
        self, at: Loc, mine: Loc, theirs: Loc, own: Mapping[str, object], inherited: Mapping[str, object]
    ) -> object:
        """One key of two mappings: the file's own, else what it inherits; of sizes it has both."""
        key = str(at[-1])
        first, second = own.get(key), inherited.get(key)
        if key in _BY_KEY and isinstance(first, dict) and isinstance(second, dict):
            self.places[at] = _Place(self._document, mine)
            return {
                name: self._value((*at, name), (*mine, name), (*theirs, name), first, second)
                for name in dict.fromkeys((*second, *first))
            }
        self.places[at] = _Place(self._document, mine) if key in own else self._parent.place(theirs)
        return first if key in own else second

    def _listed(self, at: Loc, inherited: Sequence[object], own: Sequence[object]) -> list[object]:
        for index in range(len(inherited)):
            self.places[*at, index] = self._parent.place((*at, index))
        for index in range(len(own)):
            self.places[*at, len(inherited) + index] = _Place(self._document, (*at, index))
        return [*inherited, *own]

    def _named(self, key: str, own: Sequence[object], inherited: Sequence[object]) -> list[object]:
        changed = {name: (index, entry) for index, name, entry in _first_of_each(own, _NAMED[key])}
        out: list[object] = []
        known = set()
        for index, entry in enumerate(inherited):
            at, theirs = (key, len(out)), (key, index)
            name = entry.get(_NAMED[key]) if isinstance(entry, dict) else None
            if isinstance(entry, dict) and isinstance(name, str) and name in changed and name not in known:
                known.add(name)
                mine, change = changed[name]
                self.places[at] = _Place(self._document, (key, mine))
                out.append(self._entry(at, (key, mine), theirs, change, entry))
            else:
                self.places[at] = self._parent.place(theirs)
                out.append(entry)
        for index, entry in enumerate(own):
            name = entry.get(_NAMED[key]) if isinstance(entry, dict) else None
            if isinstance(name, str) and name in known and changed[name][0] == index:
                continue
            self.places[key, len(out)] = _Place(self._document, (key, index))
            out.append(entry)
        return out

    def _entry(
        self, at: Loc, mine: Loc, theirs: Loc, change: Mapping[str, object], entry: Mapping[str, object]
    ) -> dict[str, object]:
        if "action" in change and change["action"] != "rewrite":
            # How to rewrite belongs to the action that is no more.
            entry = {key: value for key, value in entry.items() if key != "rewrite"}
        return {
            key: self._value((*at, key), (*mine, key), (*theirs, key), change, entry)
            for key in dict.fromkeys((*entry, *change))
        }


def _without_misnamed(document: Document, inherited: Mapping[str, object]) -> Document:
    """The document with a problem for each entry that can only mean an inherited one and has not its name.

    Such an entry lacks what one of its own must have; that is not told besides.
    """
    problems: list[Problem] = []
    lacking: set[Loc] = set()
    for key, (kind, says, needs) in _OF_ITS_OWN.items():
        named = _NAMED[key]
        known = [str(entry.get(named)) for _, entry in entries(inherited, key)]
        for index, entry in entries(document.value, key):
            name = entry.get(named)
            if not isinstance(name, str) or name in known or any(word in entry for word in says):
                continue
            if (meant := closest(name, known)) is not None:
                loc = (key, index)
                problems.append(
                    document.problem((*loc, named), f"no inherited {kind} {name}", f"did you mean {meant}?")
                )
                lacking |= {(*loc, word) for word in (*says, *needs) if word not in entry}
    return replace(document, problems=(*document.problems, *problems), reported=document.reported.union(lacking))


def _first_of_each(entries: Sequence[object], key: str) -> Iterator[tuple[int, str, Mapping[str, object]]]:
    """Entries with a name; of a repeated one, which is a mistake, the first."""
    seen = set()
    for index, entry in enumerate(entries):
        name = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(name, str) and name not in seen:
            seen.add(name)
            yield index, name, entry
