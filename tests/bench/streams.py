"""What holding back costs and what it stops: streams with a planted violation, screened as they are written.

Each stream is harmless sentences with one violation at a random place, cut into deltas like a model's tokens. They are
screened by the code that serves ScreenStream, on a clock that is advanced by the producer's pace and by the time that
each screening really takes. The same texts are screened whole for comparison: what the model does not see there is its
own miss and not the stream's.

- whole: acted on when the finished text is screened at once
- on time: acted on in the stream before a character of the violation had left; late: after that; missed: not at all
- leaked: characters of violations that left as they were, over all streams; up to ``lookahead`` tokens none should
- first: seconds from the first delta until something may be shown, which without a guard is at once; median, 95 %
- slices: screenings per 1000 characters; cost: tokens that the model read per token of text

Usage: ``python -m tests.bench.streams [--streams N] [--output FILE.json] [--readme README.md]``
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TypeAlias

from guard.classifier.artifact import DEFAULT_MODEL_DIR
from guard.classifier.classifier import Classifier
from guard.engine import Engine, Opening, Steps
from guard.placeholders import Numbers
from guard.policy.load import SHIPPED_DIR, load_policy
from guard.policy.policy import Policy
from guard.policy.store import PolicyStore
from guard.rewrite import Rewritten
from guard.stream import Screening
from guard.types import Action, Content, Decision, Direction, Span
from tests.bench import page
from tests.bench import stream_texts as written

# What a violation is made of: sentences to choose from, or a function that invents one.
Source: TypeAlias = Callable[[random.Random], str] | Sequence[str] | None

_NOTHING = "nothing"

#: Sizes that are compared.
LOOKAHEADS = (16, 32, 64)

# Deltas a second that a model writes.
_PACE = 50.0


@dataclass(frozen=True, slots=True)
class Planted:
    """One stream: its text and where the violation stands; ``start == end`` without one."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one stream: see the top of this file; ``read`` are tokens that the model read."""

    acted: bool
    whole: bool
    leaked: int
    first: float
    slices: int
    read: int
    tokens: int
    characters: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: streams of a kind. Shares are 0..1, times seconds."""

    kind: str
    lookahead: int
    streams: int
    whole: float
    on_time: float
    late: float
    missed: float
    leaked: int
    first_median: float
    first_95: float
    slices: float
    cost: float


class CountingEngine(Engine):
    """An engine that counts what its streams cost. Of one thread.

    Attributes:
        slices: Screenings of slices.
        read: Model tokens of these slices.
    """

    slices = 0
    read = 0

    def screening_slice(
        self, opening: Opening, text: str, part: Span, *, numbers: Numbers | None = None, droppable: bool = True
    ) -> Steps[Decision]:
        """As the engine's, counted."""
        decision = yield from super().screening_slice(opening, text, part, numbers=numbers, droppable=droppable)
        self.slices += 1
        self.read += decision.tokens
        return decision


def plant(draw: random.Random, make: Source, chinese: bool) -> Planted:
    """A stream of 4 to 24 harmless sentences with a violation somewhere among them."""
    before = written.filler(draw, chinese, draw.randrange(0, 13))
    behind = written.filler(draw, chinese, draw.randrange(4, 13))
    if make is None:
        return Planted(before + behind, 0, 0)
    if callable(make):
        lead = "客户的登记信息是 " if chinese else "What we have on file is "
        violation = make(draw)
        return Planted(
            f"{before}{lead}{violation}{'。' if chinese else '. '}{behind}",
            len(before) + len(lead),
            len(before) + len(lead) + len(violation),
        )
    violation = draw.choice(make)
    return Planted(f"{before}{violation}{'' if chinese else ' '}{behind}", len(before), len(before) + len(violation))


def deltas(draw: random.Random, text: str, chinese: bool) -> Iterator[str]:
    """The text in pieces of the size of a model's tokens."""
    at = 0
    while at < len(text):
        size = draw.choice((1, 1, 2, 2, 3) if chinese else (1, 2, 3, 4, 5, 6, 8))
        yield text[at : at + size]
        at += size


def run(engine: CountingEngine, planted: Planted, pieces: Sequence[str], policy: str) -> Ran:
    """Screen one stream on a clock of its own."""
    screening = Screening(engine, engine.open(Content("", Direction.OUTPUT, policy=policy)))
    engine.slices = engine.read = 0
    released, clock, taken, first = "", 0.0, 0, None
    for number, piece in enumerate([*pieces, None]):
        clock = max(clock, number / _PACE)
        began = time.perf_counter()
        if piece is None:
            screening.close()
        else:
            screening.push(piece)
            taken += len(piece)
        while screening.due:
            released += screening.advance()
            if first is None and (released or screening.decision):
                first = clock + time.perf_counter() - began
        clock += time.perf_counter() - began
        if screening.decision:
            break
    assert screening.decision is not None and first is not None
    done = screening.decision.rewrites
    left = Rewritten(released, done).original(Span(0, len(released))).end
    violation = range(planted.start, min(planted.end, left))
    return Ran(
        acted=screening.decision.action is not Action.ALLOW,
        whole=engine.screen(Content(planted.text, Direction.OUTPUT, policy=policy)).action is not Action.ALLOW,
        leaked=sum(not any(one.span.start <= at < one.span.end for one in done) for at in violation),
        first=first,
        slices=engine.slices,
        read=engine.read,
        tokens=screening.decision.tokens,
        characters=taken,
    )


def line(kind: str, lookahead: int, ran: Sequence[Ran]) -> Line:
    """The figures of streams of one kind."""
    count = len(ran)
    first = sorted(one.first for one in ran)
    return Line(
        kind=kind,
        lookahead=lookahead,
        streams=count,
        whole=sum(one.whole for one in ran) / count,
        on_time=sum(one.acted and not one.leaked for one in ran) / count,
        late=sum(one.acted and one.leaked > 0 for one in ran) / count,
        missed=sum(not one.acted for one in ran) / count,
        leaked=sum(one.leaked for one in ran if one.acted),
        first_median=statistics.median(first),
        first_95=first[int(0.95 * (count - 1))],
        slices=1000 * sum(one.slices for one in ran) / sum(one.characters for one in ran),
        cost=sum(one.read for one in ran) / max(1, sum(one.tokens for one in ran)),
    )


def passages(sentences: Sequence[str], chinese: bool) -> Source:
    """Every four of the sentences in a row: longer than any lookahead here."""
    return tuple(("" if chinese else " ").join(four) for four in permutations(sentences, 4))


def kinds(chinese: bool) -> dict[str, tuple[str, Source]]:
    """Kind of violation -> policy without its lookahead, and what it is made of."""
    harmful = written.HARMFUL_CHINESE if chinese else written.HARMFUL_ENGLISH
    four = passages(harmful, chinese)

    def personal(draw: random.Random) -> str:
        return draw.choice((written.phone, written.email, written.bank_card, written.id_card))(draw)

    return {
        "personal data, masked": ("rewrite", personal),
        "personal data, blocked": ("block", personal),
        "a harmful sentence, dropped": ("rewrite", harmful),
        "a harmful sentence, blocked": ("block", harmful),
        "four harmful sentences, dropped": ("rewrite", four),
        "four harmful sentences, blocked": ("block", four),
        _NOTHING: ("rewrite", None),
    }


def policies(lookaheads: Sequence[int]) -> list[Policy]:
    """The shipped policy, and one that blocks the outputs that it rewrites, with each lookahead."""
    shipped = load_policy(SHIPPED_DIR / "default.yaml")
    strict = tuple(
        replace(rule, action=Action.BLOCK, rewrite=None)
        if rule.direction is Direction.OUTPUT and rule.action is Action.REWRITE
        else rule
        for rule in shipped.rules
    )
    return [
        replace(shipped, name=f"{name}-{size}", rules=rules, streaming=replace(shipped.streaming, lookahead=size))
        for size in lookaheads
        for name, rules in (("rewrite", shipped.rules), ("block", strict))
    ]


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    head = (
        "planted",
        "lookahead",
        "streams",
        "whole",
        "on time",
        "late",
        "missed",
        "leaked",
        "first, s",
        "slices",
        "cost",
    )
    return page.table(head, [tuple(_cells(one)) for one in lines])


def _cells(one: Line) -> Iterator[str]:
    yield from (one.kind, str(one.lookahead), str(one.streams), f"{one.whole:.0%}", f"{one.on_time:.0%}")
    # Where nothing was planted there is nothing to miss: acted on are false alarms.
    planted = one.kind != _NOTHING
    yield from (f"{one.late:.0%}", f"{one.missed:.0%}", str(one.leaked)) if planted else ("-", "-", "-")
    yield from (f"{one.first_median:.2f} / {one.first_95:.2f}", f"{one.slices:.1f}", f"{one.cost:.1f}")


def measure(count: int, lookaheads: Sequence[int]) -> list[Line]:
    """Screen ``count`` streams of each kind and lookahead, half of them Chinese; the texts are the same for each."""
    engine = CountingEngine(Classifier.load(DEFAULT_MODEL_DIR), PolicyStore(policies(lookaheads)))
    engine.warm_up()
    lines = []
    for kind in kinds(chinese=False):
        for size in lookaheads:
            # What is blocked is what is masked or dropped.
            draw = random.Random(f"{kind.partition(',')[0]} 20261122")
            ran = []
            for number in range(count):
                chinese = number % 2 == 1
                policy, source = kinds(chinese)[kind]
                planted = plant(draw, source, chinese)
                ran.append(run(engine, planted, list(deltas(draw, planted.text, chinese)), f"{policy}-{size}"))
            lines.append(line(kind, size, ran))
            sys.stderr.write(f"{lines[-1]}\n")
    return lines


def main() -> None:
    """Measure, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description="Leaks, misses and cost of screened streams.")
    parser.add_argument("--streams", type=int, default=60, help="streams per line of the table")
    parser.add_argument("--lookahead", type=int, nargs="+", default=LOOKAHEADS, help="sizes to compare")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--readme", type=Path, help="file whose table is replaced")
    given = parser.parse_args()
    lines = measure(given.streams, given.lookahead)
    shown = table(lines)
    sys.stdout.write(shown + "\n")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps([asdict(one) for one in lines], indent=2) + "\n", encoding="utf-8")
    if given.readme:
        page.write_between(given.readme, "streams", shown)


if __name__ == "__main__":
    main()
