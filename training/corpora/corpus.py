"""What a public corpus is: a pinned repository, its licence, the files, and how they become rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.corpora.fetch import BASE, Repository, fetch
from training.corpora.row import AMBIGUOUS, CorpusError, Row, RowCheck, RowProblem

#: Path in the repository -> local file.
Files = Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Corpus:
    """One public corpus.

    Attributes:
        name: The rows' ``source``.
        repository: Where it is, pinned.
        licence: As the repository states it.
        licence_class: permissive, sharealike or restricted.
        files: Paths in the repository, ``*`` allowed.
        parse: Files -> rows. The id, source and licence class of its rows are filled in afterwards.
        purpose: ``train``, or ``bench`` for a corpus that is only measured on.
    """

    name: str
    repository: Repository
    licence: str
    licence_class: str
    files: tuple[str, ...]
    parse: Callable[[Files], Iterator[Row]]
    purpose: str = "train"

    def rows(self, cache: Path, *, base: str = BASE) -> list[Row]:
        """Fetch and parse; texts are stripped, blank and repeated ones left out.

        Args:
            cache: Directory for archives and files.
            base: See :func:`training.corpora.fetch.fetch`.

        Raises:
            FetchError: The repository cannot be had.
            CorpusError: Its files have not the shape that the parser was written for.
        """
        files = fetch(self.repository, self.files, cache, base=base)
        try:
            parsed = [replace(row, text=row.text.strip()) for row in self.parse(files)]
        except (KeyError, ValueError, TypeError) as error:
            # The value of a ValueError may be a text of the corpus; its type and the key name the fault.
            what = f"no column {error}" if isinstance(error, KeyError) else type(error).__name__
            raise CorpusError.of(
                self.name, 0, "file", f"not of the expected shape: {what}", "is the pin right?"
            ) from None
        rows = [
            replace(row, id=f"{self.name}-{number}", source=self.name, licence_class=self.licence_class)
            for number, row in enumerate(merge_identical(row for row in parsed if row.text))
        ]
        check = RowCheck()
        problems: list[RowProblem] = []
        for number, row in enumerate(rows, start=1):
            problems += check.problems(row, self.name, number)
        if problems:
            raise CorpusError(problems)
        return rows


def merge_identical(rows: Iterable[Row]) -> Iterator[Row]:
    """One row per text and context, in order of first appearance; contradicting labels become ambiguous."""
    groups: dict[object, Row] = {}
    for row in rows:
        key = (row.text, row.context, row.side)
        first = groups.setdefault(key, row)
        if first.label != row.label:
            groups[key] = replace(first, label=AMBIGUOUS)
        elif first.categories != row.categories:
            merged = tuple(dict.fromkeys((*first.categories, *row.categories)))
            groups[key] = replace(first, categories=merged)
    yield from groups.values()


def read_csv(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Records of a CSV file with a header line; cells that are missing are empty."""
    # Some corpora have texts beyond the default limit of 128 KiB a cell.
    csv.field_size_limit(16 * 1024 * 1024)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for record in csv.DictReader(lines, delimiter=delimiter, restval=""):
            yield {name: value for name, value in record.items() if name is not None}


def row(
    text: str,
    *,
    lang: str,
    side: str,
    label: str,
    categories: Iterable[str] = (),
    about: tuple[str, ...] = ("all",),
    basis: str = "human",
) -> Row:
    """A row of a parser: without id, source and licence, which :meth:`Corpus.rows` fills in."""
    return Row(
        id="",
        source="",
        lang=lang,
        side=side,
        text=text,
        label=label,
        categories=tuple(categories),
        about=about,
        label_basis=basis,
    )
