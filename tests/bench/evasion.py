"""What disguises cost a policy: recall, false alarms and calibration on disguised texts, with level 2 and without.

Each disguise is applied to all of every text, to the noncompliant and to the benign ones alike, and the shipped policy
decides by the classifier's scores. A line counts the texts that the disguise changes, and compares with the same
texts undisguised.

- recall: share of the noncompliant texts that are stopped: undisguised, disguised with level 1 alone, with level 2;
  lost: points from the first to the last; what no rule reads back (homophones, pictures, paraphrase) is in italics
- false alarms: the same of the benign texts
- ECE: expected calibration error of ``noncompliant`` on the disguised texts of both kinds
- read: share of the disguised texts, benign ones included, that got a second reading

Usage: ``python -m tests.bench.evasion --data DIR [--texts N] [--output FILE.json] [--page docs/evasion.md]``

DIR holds benchmark corpora as training/README.md describes them; without ``--data`` the texts are those of
``tests.bench.evasion_texts`` alone.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import Classifier, Query
from guard.metrics import ece
from guard.normalize import Normalized, normalize
from guard.policy.evaluate import evaluate
from guard.policy.load import SHIPPED_DIR, load_policy
from guard.policy.policy import Policy
from guard.readings import Evidence, combine
from guard.types import NONCOMPLIANT, Action, Direction
from guard.unmask import unmask
from guard.unmask.reading import has_trace
from tests.bench import evasion_texts as written
from tests.bench.disguises import DISGUISES

_BEGIN, _END = "<!-- evasion: begin -->", "<!-- evasion: end -->"
_PARAPHRASE = "paraphrase"
# Characters of a text that is disguised, short to be fast; and of one whose cost is measured, around 300.
_SHORT, _LONG = (8, 240), (200, 450)
_PLAIN = 2000
# Cloaked by those who collected it: it has no clean text to compare with.
_CLOAKED = "toxicloakcn"


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its truth."""

    text: str
    lang: str
    bad: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a text: scores of ``noncompliant`` and whether it was stopped, by one reading and by two."""

    first: float
    both: float
    stopped_first: bool
    stopped: bool
    read: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; shares are 0..1 and NaN where nothing was counted."""

    name: str
    lang: str
    exact: bool
    texts: int
    recall_clean: float
    recall_first: float
    recall: float
    alarms_clean: float
    alarms_first: float
    alarms: float
    ece_first: float
    ece: float
    read: float

    @property
    def lost(self) -> float:
        """Points of recall that the disguise costs."""
        return 100 * (self.recall_clean - self.recall)


@dataclass(frozen=True, slots=True)
class Cost:
    """What level 2 costs undisguised benign texts; shares of the texts, and microseconds."""

    texts: int
    looked_at: float
    read: float
    microseconds: float


class Judge:
    """The classifier and the policy. Remembers what it judged; of one thread."""

    def __init__(self, classifier: Classifier, policy: Policy) -> None:
        self._classifier = classifier
        self._policy = policy
        self._known: dict[str, Judged] = {}

    def judge(self, text: str) -> Judged:
        """Judge a text as a prompt."""
        if text not in self._known:
            self._known[text] = self._judge(text)
        return self._known[text]

    def _judge(self, text: str) -> Judged:
        normalized = normalize(text)
        reading = unmask(normalized)
        first = self._found(normalized)
        both = combine(first, self._found(reading.normalized)) if reading else first
        return Judged(
            first.scores[NONCOMPLIANT],
            both.scores[NONCOMPLIANT],
            self._stops(first),
            self._stops(both),
            reading is not None,
        )

    def _found(self, normalized: Normalized) -> Evidence:
        return Evidence(self._classifier.score(Query(normalized.text, Direction.PROMPT)).scores, ())

    def _stops(self, found: Evidence) -> bool:
        return evaluate(self._policy, Direction.PROMPT, found.scores, ()).action is not Action.ALLOW


def line(name: str, exact: bool, texts: Sequence[Text], change: Callable[[str], str], judge: Judge) -> Line | None:
    """Measure one disguise on texts of one language; None if it changes none of them."""
    pairs = [(one, after) for one in texts if (after := change(one.text)) != one.text]
    if not pairs:
        return None
    clean = [judge.judge(one.text) for one, _ in pairs]
    hidden = [judge.judge(disguised) for _, disguised in pairs]
    bad = [one.bad for one, _ in pairs]

    def share(judged: Sequence[Judged], stopped: Callable[[Judged], bool], which: bool) -> float:
        chosen = [stopped(one) for one, is_bad in zip(judged, bad, strict=True) if is_bad is which]
        return sum(chosen) / len(chosen) if chosen else math.nan

    return Line(
        name=name,
        lang=pairs[0][0].lang,
        exact=exact,
        texts=len(pairs),
        recall_clean=share(clean, lambda one: one.stopped, True),
        recall_first=share(hidden, lambda one: one.stopped_first, True),
        recall=share(hidden, lambda one: one.stopped, True),
        alarms_clean=share(clean, lambda one: one.stopped, False),
        alarms_first=share(hidden, lambda one: one.stopped_first, False),
        alarms=share(hidden, lambda one: one.stopped, False),
        ece_first=ece(bad, [one.first for one in hidden]),
        ece=ece(bad, [one.both for one in hidden]),
        read=sum(one.read for one in hidden) / len(hidden),
    )


def own_texts() -> list[Text]:
    """The texts of ``tests.bench.evasion_texts``."""
    found = [Text(text, "en", True) for text in written.ENGLISH] + [Text(text, "zh", True) for text in written.CHINESE]
    found += [Text(text, "en", False) for text in written.BENIGN_ENGLISH]
    return found + [Text(text, "zh", False) for text in written.BENIGN_CHINESE]


def bench_texts(data: Path, count: int, shortest: int, longest: int) -> list[Text]:
    """At most ``count`` texts of each language and truth, in equal parts of every source, of a length in characters."""
    from training.corpora.parquet import read_parquet_dir
    from training.corpora.row import LICENCE_CLASSES

    draw = random.Random(20261122)
    kinds: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for row in read_parquet_dir(data, licence=LICENCE_CLASSES):
        bad = row.label == NONCOMPLIANT
        whole = bad or (row.label == "compliant" and "all" in row.about)
        is_ours = row.side != "response" and row.lang in ("en", "zh") and row.source != _CLOAKED
        if whole and is_ours and shortest <= len(row.text) <= longest:
            kinds.setdefault((row.lang, bad), {}).setdefault(row.source, []).append(row.text)
    found: list[Text] = []
    for (lang, bad), sources in sorted(kinds.items()):
        for texts in sources.values():
            draw.shuffle(texts)
        chosen = [text for place in zip_longest(*sources.values()) for text in place if text]
        found += [Text(text, lang, bad) for text in chosen[:count]]
    return found


def measure(texts: Sequence[Text], judge: Judge) -> list[Line]:
    """Every disguise in every language where it makes sense; then what the texts' own paraphrases cost."""
    lines: list[Line | None] = []
    for lang in ("en", "zh"):
        own = [text for text in texts if text.lang == lang]
        lines.append(line("(none)", True, own, lambda text: text + " ", judge))
        for name, kind in DISGUISES.items():
            if lang in kind.languages:
                lines.append(line(name, kind.exact, own, kind.change, judge))
                sys.stderr.write(f"{lines[-1]}\n")
        said = written.ENGLISH if lang == "en" else written.CHINESE
        known = [Text(text, lang, True) for text in said]
        lines.append(line(_PARAPHRASE, False, known, said.__getitem__, judge))
    return [one for one in lines if one]


def cost(texts: Sequence[Text]) -> Cost:
    """How often undisguised benign texts are looked at, and read twice; and the time of level 2 per 300 characters."""
    benign = [normalize(text.text) for text in texts if not text.bad]
    for one in benign[:50]:
        unmask(one)
    began = time.process_time()
    readings = [unmask(one) for one in benign]
    taken = time.process_time() - began
    return Cost(
        texts=len(benign),
        looked_at=sum(has_trace(one.text) for one in benign) / len(benign),
        read=sum(reading is not None for reading in readings) / len(benign),
        microseconds=1e6 * 300 * taken / sum(len(one.text) for one in benign),
    )


def page(lines: Sequence[Line], spent: Cost, model: str) -> str:
    """The figures as Markdown."""
    head = (
        *("disguise", "language", "texts", "recall clean", "level 1", "level 2", "lost"),
        *("false alarms clean", "level 1", "level 2", "ECE level 1", "level 2", "read"),
    )
    rule = ("---", "---", *("---:" for _ in head[2:]))
    rows = [tuple(_cells(one)) for one in lines]
    said = (
        f"`{model}`. Of {spent.texts} benign texts as they are {spent.looked_at:.1%} get a closer look and "
        f"{spent.read:.2%} a second reading; this takes {spent.microseconds:.0f} microseconds per 300 characters."
    )
    return "\n".join([said, "", *(f"| {' | '.join(row)} |" for row in (head, rule, *rows))])


def _cells(one: Line) -> list[str]:
    shares = (one.recall_clean, one.recall_first, one.recall)
    alarms = (one.alarms_clean, one.alarms_first, one.alarms)
    return [
        one.name if one.exact else f"*{one.name}*",
        one.lang,
        str(one.texts),
        *(_percent(share) for share in shares),
        f"{one.lost:.1f}",
        *(_percent(share) for share in alarms),
        f"{one.ece_first:.3f}",
        f"{one.ece:.3f}",
        _percent(one.read),
    ]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def replaced(text: str, shown: str) -> str:
    """A page with other figures between its markers.

    Raises:
        ValueError: The markers are not in it.
    """
    before, rest = text.split(_BEGIN, 1)
    return f"{before}{_BEGIN}\n{shown}\n{_END}{rest.split(_END, 1)[1]}"


def main() -> None:
    """Measure, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description="What disguises cost, with level 2 and without.")
    parser.add_argument("--data", type=Path, help="directory of benchmark corpora (Parquet)")
    parser.add_argument("--texts", type=int, default=150, help="benchmark texts of each language and truth")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL_DIR)
    parser.add_argument("--policy", type=Path, default=SHIPPED_DIR / "default.yaml")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--page", type=Path, help="file whose figures are replaced")
    given = parser.parse_args()
    texts, plain = own_texts(), own_texts()
    if given.data:
        texts += bench_texts(given.data, given.texts, *_SHORT)
        plain = bench_texts(given.data, _PLAIN, *_LONG)
    classifier = Classifier.load(given.model)
    lines = measure(texts, Judge(classifier, load_policy(given.policy)))
    spent = cost(plain)
    shown = page(lines, spent, classifier.artifact.identity)
    sys.stdout.write(shown + "\n")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        result = {"model": classifier.artifact.identity, "lines": [asdict(one) for one in lines], "cost": asdict(spent)}
        given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if given.page:
        given.page.write_text(replaced(given.page.read_text(encoding="utf-8"), shown), encoding="utf-8")


if __name__ == "__main__":
    main()
