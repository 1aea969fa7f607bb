"""How well a rewrite finds its places and what it leaves: paragraphs with one or two plants, rewritten and looked at.

A composite is a paragraph of five to eight harmless sentences, in English or in Chinese, with one or two noncompliant
sentences or items of personal data planted in it. It is screened as an output, by the shipped policy with every rule
of the classifier on outputs set to ``drop_sentence``; thresholds stay. With ``--data`` there are composites of rows of
the corpora besides (one plant each, see ``training/composites.py``); ``--heldout`` names the ``mixture.json`` of a
training, and only rows that it held out are used then.

- found: the text was not allowed; rewritten: it was rewritten and not blocked, of those that were found
- precision, recall: characters that were rewritten and planted, of those rewritten, and of those planted; over the
  rewritten texts
- passes: rewritten texts that the policy allows when they are screened anew; the promise is 100 %
- kept: harmless characters that stayed, over the rewritten texts
- added: milliseconds that the rewriting took, over the time of one screening; median, 95 %. The harmless ones of
  ``nothing`` say what it costs and takes where nothing was planted.

Usage: ``python -m tests.bench.rewriting [--texts N] [--data DIR [--heldout FILE]] [--output FILE] [--readme FILE]``
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.policy.load import SHIPPED_DIR, load_policy
from guard.policy.policy import Mode, Operator, Policy, Rule
from guard.policy.store import PolicyStore
from guard.types import CATEGORIES, Action, Content, Decision, Direction, Span, Turn
from tests.bench import stream_texts as written

_BEGIN, _END = "<!-- rewriting: begin -->", "<!-- rewriting: end -->"
_REWRITES, _LOOKS = "rewrites", "looks"
_FEWEST, _MOST = 5, 8


@dataclass(frozen=True, slots=True)
class Planted:
    """A composite: its text, what came before it, and where its plants are; none in a harmless text."""

    text: str
    plants: tuple[Span, ...]
    context: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of one composite: see the top of this file. Characters are counted where it was rewritten."""

    action: Action
    passes: bool
    hit: int
    covered: int
    planted: int
    harmless: int
    added: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. Shares are 0..1, or None of nothing; times milliseconds."""

    kind: str
    language: str
    texts: int
    found: float
    rewritten: float | None
    precision: float | None
    recall: float | None
    passes: float | None
    kept: float | None
    added_median: float | None
    added_95: float | None


def personal(draw: random.Random, chinese: bool) -> str:
    """A sentence around an item of personal data, and the item between two marks."""
    item = draw.choice((written.phone, written.email, written.bank_card, written.id_card))(draw)
    return f"客户的登记信息是 \0{item}\0。" if chinese else f"What we have on file is \0{item}\0. "


def sentence(draw: random.Random, chinese: bool) -> str:
    """A noncompliant sentence, all of it between two marks."""
    harmful = draw.choice(written.HARMFUL_CHINESE if chinese else written.HARMFUL_ENGLISH)
    return f"\0{harmful}\0" + ("" if chinese else " ")


#: What is planted, by kind, and how many of it at most.
KINDS: dict[str, tuple[Callable[[random.Random, bool], str] | None, int]] = {
    "personal data": (personal, 2),
    "a sentence": (sentence, 1),
    "two sentences": (sentence, 2),
    "nothing": (None, 0),
}


def plant(draw: random.Random, kind: str, chinese: bool) -> Planted:
    """A composite of the texts of this project."""
    make, most = KINDS[kind]
    source = written.CHINESE if chinese else written.ENGLISH
    pieces = [text + ("" if chinese else " ") for text in draw.sample(source, draw.randrange(_FEWEST, _MOST + 1))]
    if make:
        count = most if kind == "two sentences" else draw.randrange(1, most + 1)
        for _ in range(count):
            pieces.insert(draw.randrange(len(pieces) + 1), make(draw, chinese))
    marked = "".join(pieces).split("\0")
    plants, at = [], 0
    for number, piece in enumerate(marked):
        if number % 2:
            plants.append(Span(at, at + len(piece)))
        at += len(piece)
    return Planted("".join(marked), tuple(plants))


def policies() -> list[Policy]:
    """The shipped policy with sentences dropped, and the same in shadow, which only looks."""
    shipped = load_policy(SHIPPED_DIR / "default.yaml")
    rules = tuple(map(_dropping, shipped.rules))
    return [
        replace(shipped, name=_REWRITES, rules=rules),
        replace(shipped, name=_LOOKS, rules=rules, mode=Mode.SHADOW),
    ]


def _dropping(rule: Rule) -> Rule:
    if rule.direction is not Direction.OUTPUT or rule.category not in CATEGORIES:
        return rule
    return replace(rule, action=Action.REWRITE, rewrite=Operator.DROP_SENTENCE)


def look(engine: Engine, planted: Planted) -> Looked:
    """Screen one composite twice, once only looking, and screen what comes out."""
    content = Content(planted.text, Direction.OUTPUT, planted.context, policy=_LOOKS)
    alone, _ = _timed(engine, content)
    seconds, decision = _timed(engine, replace(content, policy=_REWRITES))
    if decision.action is not Action.REWRITE or decision.message:
        action = Action.BLOCK if decision.message else decision.action
        return Looked(action, False, 0, 0, 0, 0, 1000 * (seconds - alone))
    again = engine.screen(replace(content, text=decision.output_text, policy=_REWRITES))
    covered = {at for done in decision.rewrites for at in range(done.span.start, done.span.end)}
    bad = {at for span in planted.plants for at in range(span.start, span.end)}
    # White space behind a sentence goes with it and is nobody's.
    covered = {at for at in covered if not planted.text[at].isspace()}
    bad = {at for at in bad if not planted.text[at].isspace()}
    harmless = sum(not char.isspace() for char in planted.text) - len(bad)
    return Looked(
        Action.REWRITE,
        again.action is Action.ALLOW,
        len(covered & bad),
        len(covered),
        len(bad),
        harmless,
        1000 * (seconds - alone),
    )


def _timed(engine: Engine, content: Content) -> tuple[float, Decision]:
    began = time.perf_counter()
    decision = engine.screen(content)
    return time.perf_counter() - began, decision


def line(kind: str, language: str, looked: Sequence[Looked]) -> Line:
    """The figures of composites of one kind."""
    found = [one for one in looked if one.action is not Action.ALLOW]
    rewritten = [one for one in found if one.action is Action.REWRITE]
    hit, covered = sum(one.hit for one in rewritten), sum(one.covered for one in rewritten)
    added = sorted(one.added for one in found)
    harmless = sum(one.harmless for one in rewritten)
    return Line(
        kind,
        language,
        len(looked),
        found=len(found) / len(looked),
        rewritten=_share(len(rewritten), len(found)),
        precision=_share(hit, covered),
        recall=_share(hit, sum(one.planted for one in rewritten)),
        passes=_share(sum(one.passes for one in rewritten), len(rewritten)),
        kept=_share(harmless - (covered - hit), harmless),
        added_median=statistics.median(added) if added else None,
        added_95=added[math.ceil(0.95 * (len(added) - 1))] if added else None,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def corpora(directories: Sequence[Path], heldout: Path | None, count: int) -> Iterator[tuple[str, Planted]]:
    """Composites of the corpora's rows with their languages."""
    # Read with the training's libraries, which the rest of this file does without.
    from training.composites import PLANT, composites, harmless_paragraphs
    from training.corpora.parquet import read_parquet_dir

    rows = [row for directory in directories for row in read_parquet_dir(directory)]
    among = set(json.loads(heldout.read_text(encoding="utf-8"))["heldout"]) if heldout else None
    paragraphs = harmless_paragraphs(rows, among)
    plants = [row for row in rows if among is None or row.id in among]
    for language in PLANT:
        for made in composites(plants, paragraphs, language, Direction.OUTPUT, count=count):
            yield language, Planted(made.query.text, (Span(made.start, made.end),), made.query.context)


def measure(engine: Engine, count: int, others: Iterable[tuple[str, Planted]] = ()) -> list[Line]:
    """Look at ``count`` composites of each kind and language, and at others."""
    engine.warm_up()
    lines = []
    for kind in KINDS:
        for language in ("en", "zh"):
            draw = random.Random(f"{kind} {language} 20261122")
            texts = [plant(draw, kind, language == "zh") for _ in range(count)]
            lines.append(line(kind, language, [look(engine, planted) for planted in texts]))
            sys.stderr.write(f"{lines[-1]}\n")
    grouped: dict[str, list[Looked]] = {}
    for language, planted in others:
        grouped.setdefault(language, []).append(look(engine, planted))
    lines += [line("a corpus's row", language, looked) for language, looked in grouped.items()]
    return lines


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    head = ("planted", "language", "texts", "found", "rewritten", "precision", "recall", "passes", "kept", "added, ms")
    rows = [tuple(_cells(one)) for one in lines]
    rule = ("---", "---", *("---:" for _ in head[2:]))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _cells(one: Line) -> Iterator[str]:
    yield from (one.kind, one.language, str(one.texts))
    for share in (one.found, one.rewritten, one.precision, one.recall, one.passes, one.kept):
        yield "-" if share is None else f"{share:.1%}"
    known = one.added_median is not None and one.added_95 is not None
    yield f"{one.added_median:.0f} / {one.added_95:.0f}" if known else "-"


def main() -> None:
    """Measure, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description="What rewrites find, take and leave.")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL_DIR, help="an artifact")
    parser.add_argument("--texts", type=int, default=100, help="composites of each kind and language")
    parser.add_argument("--data", type=Path, action="append", default=[], help="corpora, for composites of their rows")
    parser.add_argument("--heldout", type=Path, help="mixture.json of a training: only rows that it held out")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--readme", type=Path, help="file whose table is replaced")
    given = parser.parse_args()
    engine = Engine(Classifier.load(given.model), PolicyStore(policies()))
    lines = measure(engine, given.texts, corpora(given.data, given.heldout, given.texts) if given.data else ())
    shown = table(lines)
    sys.stdout.write(shown + "\n")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps([asdict(one) for one in lines], indent=2) + "\n", encoding="utf-8")
    if given.readme:
        text = given.readme.read_text(encoding="utf-8")
        before, rest = text.split(_BEGIN, 1)
        behind = rest.split(_END, 1)[1]
        given.readme.write_text(f"{before}{_BEGIN}\n{shown}\n{_END}{behind}", encoding="utf-8")


if __name__ == "__main__":
    main()
