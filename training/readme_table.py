"""Write the README's table of figures from the tables of an evaluation; no figure in it is typed by hand.

Usage:
    python -m training.readme_table --table runs/NAME/eval/table.json [--baseline DATA/baseline-ngram.txt] \
        [--compare NAME=TABLE ...] [--readme README.md]

One row a family (side and language), and one for those of its sources that the model was not trained on. Every source
counts alike, whatever its size: that is the only mean that another system's printed table allows. Only sources
that every system was measured on are counted. Like is compared with like: with the baseline at 5 % false alarms over a
family, which is all that its table has; with other tables as each system decides.
What stands between the two marks of the README is replaced.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from training.bench.comparison import System, read_baseline, read_system
from training.card import bench as card_bench
from training.markdown import rate, sections, table

#: What the figures stand between.
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
#: Heads our column.
OURS = "guard"
README = Path(__file__).parent.parent / "README.md"

#: (side, lang, source), as tables call a line.
_Key: TypeAlias = tuple[str, str, str]
_SIDES: Mapping[str, str] = {"prompt": "prompts", "response": "answers", "content": "people's posts"}
_LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "Chinese"}
_WORST = 4


def figures(ours: System, baseline: System | None = None, others: Sequence[System] = ()) -> str:
    """What stands between the marks.

    Args:
        ours: The measured model; its table says which sources are unseen.
        baseline: A printed table, with figures at 5 % false alarms.
        others: Systems with decisions of their own.
    """
    document = ours.table
    printed = [baseline] if baseline else []
    systems = [ours, *printed, *others]
    columns = [
        *(_Column(f"AUROC {s.name}", s, ("auroc",)) for s in systems),
        *(_Column(f"5 % point {s.name}", s, ("recall", "fpr")) for s in [ours, *printed] if baseline),
        *(_Column(f"decided {s.name}", s, ("policy_recall", "policy_fpr")) for s in [ours, *others]),
    ]
    rows = []
    for side, lang in dict.fromkeys((line["side"], line["lang"]) for line in document["lines"]):
        name = f"{_SIDES.get(side, side)}, {_LANGUAGES.get(lang, lang)}"
        keys = [key for key in _keys(document) if key[:2] == (side, lang) and all(key in s.lines for s in systems)]
        unseen = [key for key in keys if key[2] in (document.get("unseen") or ())]
        for title, members in ((name, keys), (f"{name}: unseen", unseen)):
            if members:
                rows.append((title, len(members), *(column.cell(members) for column in columns)))
    about = (
        f"`{document['model']}` with the policy `{document['policy']}` on {document['texts']} benchmark texts, none of "
        "them trained on; unseen: sources of which nothing else was trained on, either. Means over sources. Decided: "
        "recall / share of false alarms (FPR) of a system's own decisions"
        + ("; 5 % point: the same at the threshold with 5 % false alarms over the family." if baseline else ".")
    )
    return sections(about, table(("", "sources", *(c.title for c in columns)), rows), _words(document))


@dataclass(frozen=True, slots=True)
class _Column:
    """One or two measures of one system, as means over lines."""

    title: str
    system: System
    measures: tuple[str, ...]

    def cell(self, keys: Collection[_Key]) -> str:
        found = [self._mean(keys, measure) for measure in self.measures]
        if all(value is None for value in found):
            return ""
        # False alarms are small: they get a digit more.
        return " / ".join(rate(v, 3 if "fpr" in m else 2) or "-" for v, m in zip(found, self.measures, strict=True))

    def _mean(self, keys: Collection[_Key], measure: str) -> float | None:
        values = [float(v) for key in keys if (v := self.system.lines[key].get(measure)) is not None]
        return sum(values) / len(values) if values else None


def _keys(document: Mapping[str, Any]) -> list[_Key]:
    return [(line["side"], line["lang"], line["source"]) for line in document["lines"]]


def _words(document: Mapping[str, Any]) -> str:
    """What was won and reached, and where the model is worst."""
    lines = document["lines"]
    missed = _worst(lines, "policy_recall", reverse=False)
    alarms = _worst(lines, "policy_fpr", reverse=True)
    return f"{card_bench.summary(document)} Least found: {missed}. Most false alarms: {alarms}.".strip()


def _worst(lines: Iterable[Mapping[str, Any]], measure: str, *, reverse: bool) -> str:
    known = [line for line in lines if line.get(measure) is not None]
    chosen = sorted(known, key=lambda line: float(line[measure]), reverse=reverse)[:_WORST]
    return ", ".join(f"{line['source']} ({line['side']}, {line['lang']}) {line[measure]:.2f}" for line in chosen)


def replaced(text: str, block: str) -> str:
    """The README with a new block between its marks.

    Raises:
        ValueError: The marks are not there exactly once, in their order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"the marks {BEGIN} and {END} must be there once each, in this order")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code: 0 fine, 2 bad usage or input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", required=True, help="table.json of training.evaluate, or its directory")
    parser.add_argument("--baseline", type=Path, help="another system's printed table")
    parser.add_argument(
        "--compare", action="append", default=[], metavar="NAME=TABLE", help="another table.json as a column"
    )
    parser.add_argument("--readme", type=Path, default=README)
    args = parser.parse_args(argv)
    try:
        ours = read_system(f"{OURS}={args.table}")
        baseline = System.of_baseline("n-gram", read_baseline(args.baseline)) if args.baseline else None
        block = figures(ours, baseline, [read_system(named) for named in args.compare])
        text = replaced(args.readme.read_text(encoding="utf-8"), block)
        args.readme.write_text(text, encoding="utf-8")
    except (KeyError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
