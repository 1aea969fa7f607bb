r"""What a filter of listed words would decide on the benchmarks: the cheapest system to compare with.

Usage:
    python -m training.keyword_filter --data DIR --wordlists DIR --output runs/keyword [--trained-on ARTIFACT] \
        [--leave-out PART ...]

A text is noncompliant if a listed word occurs in it, both normalised and without regard to case: the score is 1
or 0 and there is no threshold to choose, so all figures are at its one operating point. Words that begin or end
with a Latin letter or digit need a border there. ``a+b`` is listed where all parts must occur, in any order. Single
characters are left out, because nobody who tried such a list would keep them. Public collections hold everyday
words as well; ``--leave-out`` names lists to do without, so that a filter of topical lists can stand beside one of all.
Output: ``table.json``, ``table.md``, as training.evaluate writes them; ``--compare keyword=runs/keyword`` there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from guard.classifier.artifact import read_artifact
from guard.errors import GuardError
from guard.normalize import normalize
from guard.records import Record, hash_text
from guard.types import CATEGORIES, Action
from training.bench.comparison import contests
from training.bench.report import to_json
from training.bench.table import tabulate
from training.bench.targets import POOLS
from training.corpora.parquet import read_parquet_dir
from training.corpora.row import LICENCE_CLASSES, Row, directions_of
from training.corpora.splits import sample
from training.evaluate import write_document

#: Shorter words are not taken from a list.
MIN_CHARACTERS = 2
# Characters by which a word's lengths are found; all words have as many.
_KEY = 2
_LATIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


@dataclass(frozen=True, slots=True)
class KeywordFilter:
    """Listed words, ready to be looked for. Immutable; make it by :meth:`of`.

    Attributes:
        words: Single words, normalised and folded.
        groups: Words that count only together.
        lengths: First two characters of a word or of a part -> lengths of those that begin so.
        known: All words and parts.
    """

    words: frozenset[str]
    groups: tuple[frozenset[str], ...]
    lengths: dict[str, tuple[int, ...]] = field(repr=False)
    known: frozenset[str] = field(repr=False)

    @property
    def identity(self) -> str:
        """``name@revision``; the revision depends on the words alone."""
        joined = "\n".join(sorted([*self.words, *("+".join(sorted(group)) for group in self.groups)]))
        return f"keyword-filter@{hash_text(joined)[:12]}"

    @classmethod
    def of(cls, lines: Iterable[str]) -> KeywordFilter:
        """The filter of a list.

        Args:
            lines: One word a line, or several joined by ``+``; blank ones are skipped.
        """
        words: set[str] = set()
        groups: set[frozenset[str]] = set()
        for line in lines:
            parts = [word for word in (fold(part) for part in line.split("+")) if word]
            if not parts or any(len(part) < MIN_CHARACTERS for part in parts):
                continue
            if len(parts) == 1:
                words.add(parts[0])
            else:
                groups.add(frozenset(parts))
        known = words.union(*groups)
        lengths: dict[str, set[int]] = {}
        for word in known:
            lengths.setdefault(word[:_KEY], set()).add(len(word))
        ordered = {key: tuple(sorted(found)) for key, found in lengths.items()}
        return cls(frozenset(words), tuple(groups), ordered, frozenset(known))

    def matches(self, text: str) -> bool:
        """Whether a listed word, or every word of a group, occurs in a text (original form)."""
        found = self._found(fold(text))
        return not found.isdisjoint(self.words) or any(group <= found for group in self.groups)

    def _found(self, text: str) -> set[str]:
        out: set[str] = set()
        for start in range(len(text) - _KEY + 1):
            for length in self.lengths.get(text[start : start + _KEY], ()):
                word = text[start : start + length]
                if word in self.known and _has_borders(text, start, start + length):
                    out.add(word)
        return out


def fold(text: str) -> str:
    """The form in which words and texts are compared: normalised, without case and outer space."""
    return normalize(text).text.casefold().strip()


def _has_borders(text: str, start: int, end: int) -> bool:
    """False where a Latin word of the list is only part of a longer one."""
    if start and text[start] in _LATIN and text[start - 1] in _LATIN:
        return False
    return not (end < len(text) and text[end - 1] in _LATIN and text[end] in _LATIN)


def read_words(directory: Path, leave_out: Collection[str] = ()) -> list[str]:
    """Lines of the ``*.txt`` files.

    Args:
        directory: Where they are.
        leave_out: Files are left out whose name has one of these in it.

    Raises:
        ValueError: No file is left, one is not UTF-8, or a part of a name is in none.
    """
    everything = sorted(directory.glob("*.txt"))
    idle = [part for part in leave_out if not any(part in file.name for file in everything)]
    if idle:
        raise ValueError(f"{directory}: no list is called {', '.join(idle)} (check --leave-out)")
    files = [file for file in everything if not any(part in file.name for part in leave_out)]
    if not files:
        raise ValueError(f"{directory}: no *.txt file (name a directory of word lists)")
    try:
        return [line for file in files for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{directory}: a list is not UTF-8: {error.reason} (save it as UTF-8)") from None


def decide(rows: Iterable[Row], words: KeywordFilter) -> list[Record]:
    """Records of rows; every category has the same score, 1.0 where a word occurs and 0.0 elsewhere."""
    now = datetime.now(UTC)
    identity = words.identity
    return [_record(row, words.matches(row.text), identity, now) for row in rows]


def _record(row: Row, hit: bool, identity: str, time: datetime) -> Record:
    return Record(
        id=row.id,
        request_id="",
        time=time,
        direction=directions_of(row, training=False)[0],
        lang=row.lang if row.lang in ("zh", "en") else "other",
        action=Action.BLOCK if hit else Action.ALLOW,
        text=None,
        output_text=None,
        text_hash=hash_text(row.text),
        tokens=0,
        chunks=1,
        rules=(),
        scores=dict.fromkeys(CATEGORIES, float(hit)),
        detections=(),
        policy=identity,
        model=identity,
        label=row.label,
        categories=row.categories,
        about=row.about,
        extra={"source": row.source, "side": row.side, "lang": row.lang},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="directory of labelled Parquet files")
    parser.add_argument("--wordlists", type=Path, required=True, help="directory of *.txt, one word a line")
    parser.add_argument("--leave-out", nargs="*", default=[], help="lists whose file name has one of these in it")
    parser.add_argument("--output", type=Path, required=True, help="directory for the table")
    parser.add_argument("--trained-on", type=Path, help="artifact whose sources count as seen, to compare with it")
    parser.add_argument("--sources", nargs="*", help="only these sources")
    parser.add_argument("--limit-per-source", type=int, help="at most so many texts a source, side and language")
    parser.add_argument("--bootstrap", type=int, default=500, help="resamples of an interval; 0 for none")
    args = parser.parse_args(argv)
    try:
        words = KeywordFilter.of(read_words(args.wordlists, args.leave_out))
        rows = read_parquet_dir(args.data, sources=args.sources, licence=LICENCE_CLASSES)
        found = decide(sample(rows, args.limit_per_source), words)
        seen = {s.name for s in read_artifact(args.trained_on).sources} if args.trained_on else None
        # Any threshold above 0 separates the two scores.
        table = tabulate(found, samples=args.bootstrap, trained_on=seen, pools=POOLS, threshold=0.5)
        about = {"model": words.identity, "policy": words.identity, "texts": len(found), "words": len(words.words)}
        print(write_document(to_json(table, contests(table.lines, {}), about, title="keyword filter"), args.output))
    except (GuardError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
