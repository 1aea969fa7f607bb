"""From what rules say about terms to lists that can be looked for; with every mistake and its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from guard.errors import Problem
from guard.policy.extend import Merged
from guard.policy.schema import AllowEntry, RuleEntry, Term
from guard.policy.source import Loc
from guard.policy.suggest import did_you_mean
from guard.policy.term_file import TermFile, read_term_file
from guard.policy.terms import TermList, TermMatcher, TermMistake, fingerprint, folded_term
from guard.types import ALLOW_PREFIX, TERM_PREFIX

#: Terms of one policy, wherever they are written.
MAX_TERMS = 50_000


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """The names of a rule's terms, as :class:`guard.policy.policy.Rule` has them; empty where it has none."""

    term_category: str = ""
    allow_terms: str = ""
    allow_category: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a policy.

    Attributes:
        of_rule: By rule id, for those that have any.
        matcher: Finds them; None if there are none.
        files: Where they were read from, in order.
    """

    of_rule: Mapping[str, RuleTerms]
    matcher: TermMatcher | None
    files: tuple[TermFile, ...]


@dataclass(slots=True)
class TermReader:
    """Reads the files of one policy, each once. Used for one load."""

    _files: dict[str, TermFile] = field(default_factory=dict)

    def problems(self, merged: Merged) -> Iterator[Problem]:
        """What is wrong with the terms beyond a single value; must bear any document."""
        count = 0
        for loc, written in _lists(merged.value):
            literals: dict[str, int] = {}
            for index, term in enumerate(written):
                named = term.get("file") if isinstance(term, dict) else None
                if isinstance(named, str) and named.strip():
                    found = self._read(merged, (*loc, index), named)
                    count += len(found.terms)
                    yield from self._of_file(merged, (*loc, index, "file"), named, found)
                elif isinstance(term, str) and (folded := _folded(term)):
                    count += folded not in literals
                    if folded in literals:
                        what = f"{term} stands in this list already"
                        yield merged.problem((*loc, index), what, "remove one of them")
                    literals.setdefault(folded, index)
        if count > MAX_TERMS:
            yield merged.problem((), f"{count} terms", f"at most {MAX_TERMS} in one policy; a pattern may do for many")
        yield from _unknown_rules(merged)

    def terms(self, merged: Merged, rules: Sequence[RuleEntry], allow: Sequence[AllowEntry]) -> Terms:
        """The terms of a sound policy."""
        names: dict[str, RuleTerms] = {}
        lists: dict[str, TermList] = {}
        for index, rule in enumerate(rules):
            own = self._list(merged, ("rules", index, "terms"), rule.terms or ())
            allowed = _union(
                self._list(merged, ("allow", at, "terms"), entry.terms)
                for at, entry in enumerate(allow)
                if rule.id in entry.rules
            )
            names[rule.id] = RuleTerms(
                term_category=f"{TERM_PREFIX}{rule.id}.{own.category}" if own.category else "",
                allow_terms=f"{ALLOW_PREFIX}{allowed.category}" if allowed.category else "",
                allow_category=f"{ALLOW_PREFIX}{rule.id}.{allowed.category}" if allowed.category else "",
            )
            for name, terms in ((names[rule.id].term_category, own), (names[rule.id].allow_terms, allowed)):
                if name:
                    lists[name] = replace(terms, category=name)
        return Terms(names, TermMatcher(tuple(lists.values())) if lists else None, tuple(self._files.values()))

    def _list(self, merged: Merged, loc: Loc, written: Sequence[Term]) -> TermList:
        """A list as it is written; its category is its fingerprint, or empty without terms."""
        literals: list[str] = []
        patterns: list[str] = []
        for index, term in enumerate(written):
            if isinstance(term, str):
                literals.append(folded_term(term))
            elif term.pattern is not None:
                patterns.append(term.pattern)
            elif term.file is not None:
                literals += self._read(merged, (*loc, index), term.file).terms
        return _listed(literals, patterns)

    def _read(self, merged: Merged, loc: Loc, named: str) -> TermFile:
        """The file that a term names, from the directory of the file that the term stands in."""
        path = Path(merged.place(loc).document.file).parent / named
        if str(path) not in self._files:
            self._files[str(path)] = read_term_file(path)
        return self._files[str(path)]

    @staticmethod
    def _of_file(merged: Merged, loc: Loc, named: str, found: TermFile) -> Iterator[Problem]:
        if found.readable:
            yield from found.problems
            return
        directory = Path(merged.place(loc).document.file).parent
        yield merged.problem(loc, f"{named}: {found.problems[0].what}", f"a path from {directory}/")


def _listed(literals: Iterable[str], patterns: Iterable[str]) -> TermList:
    words, expressions = tuple(dict.fromkeys(literals)), tuple(dict.fromkeys(patterns))
    return TermList(fingerprint(words, expressions) if words or expressions else "", words, expressions)


def _union(lists: Iterable[TermList]) -> TermList:
    parts = list(lists)
    return _listed((x for part in parts for x in part.literals), (x for part in parts for x in part.patterns))


def _folded(term: str) -> str:
    try:
        return folded_term(term)
    except TermMistake:
        return ""


def _entries(value: object, key: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    found = value.get(key) if isinstance(value, dict) else None
    for index, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _lists(value: object) -> Iterator[tuple[Loc, list[object]]]:
    for key in ("rules", "allow"):
        for index, entry in _entries(value, key):
            written = entry.get("terms")
            if isinstance(written, list):
                yield (key, index, "terms"), written


def _unknown_rules(merged: Merged) -> Iterator[Problem]:
    if merged.incomplete:
        return
    known = [name for _, rule in _entries(merged.value, "rules") if isinstance(name := rule.get("id"), str)]
    for index, entry in _entries(merged.value, "allow"):
        named = entry.get("rules")
        for at, name in enumerate(named if isinstance(named, list) else ()):
            if isinstance(name, str) and name not in known:
                cure = did_you_mean(name, known) or "name a rule of this policy"
                yield merged.problem(("allow", index, "rules", at), f"there is no rule {name}", cure)
