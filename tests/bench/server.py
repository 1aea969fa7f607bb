"""The sidecar beside what does the same work without it: latency, throughput, overload, memory.

An absolute time says little on a shared machine: everything is measured in one run, in turns, as ratios. The client
has a core of its own; the sidecar, and what stands beside it, share the other one. The cache is off.

- the bare loop: the artifact's tokenizer and graph on the same texts, one at a time (``tests/bench/peers.py``)
- even texts have 60 tokens each; mixed ones are lognormal with 45 tokens at the median and 250 at the 99 % point
- capacity: what is scored a second with 32 calls in flight
- a pipeline: that of Hugging Face in PyTorch, with random weights; left out where PyTorch is not installed

Usage: ``python -m tests.bench.server [--artifact DIR] [--effort F] [--output FILE.json]``; ``make bench`` runs it
beside the other measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from guard.classifier.artifact import DEFAULT_MODEL_DIR, FILES, read_artifact
from guard.classifier.chunker import Chunker
from tests.bench import page
from tests.bench.load import Client, Served, request
from tests.bench.load_texts import EVEN, even, mixed
from tests.bench.processes import Cores, Peer, Sidecar, peer, pinned, sidecar
from tests.bench.profile import profile
from tests.bench.tables import Ratio, ratio_table, rounds

_T = TypeVar("_T")

_IN_FLIGHT = (1, 8, 32)
_MOST = _IN_FLIGHT[-1]
# Seconds that a caller waits under overload, and within which it has to hear that it is refused.
_DEADLINE, _PROMPTLY = 1.0, 0.05
_MEMORY = 300e6
# Texts in one call of a pipeline: on a CPU larger ones only add padding.
_PIPELINE_BATCH = 8
_LONG_TEXTS = 60


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: rounds, texts of a round (one in flight), seconds of an open load."""

    rounds: int
    texts: int
    seconds: float

    @classmethod
    def of(cls, factor: float) -> Effort:
        """So many times the usual, and at least enough to see that everything works."""
        return cls(max(2, round(10 * factor)), max(8, round(60 * factor)), max(1.0, 30 * factor))


@dataclass(frozen=True, slots=True)
class Line:
    """Latency and throughput of one load; times in milliseconds, rate in texts a second."""

    load: str
    p50: float
    p99: float
    rate: float


@dataclass(slots=True)
class Report:
    """What one run found."""

    model: str = ""
    load_before: float = 0.0
    ratios: list[Ratio] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def line(self, load: str, ms: Sequence[float], rate: float) -> Line:
        """Note the times of one load."""
        p50, p99 = (float(value) for value in np.percentile(ms, [50, 99])) if len(ms) else (np.inf, np.inf)
        self.lines.append(Line(load, p50, p99, rate))
        return self.lines[-1]

    def markdown(self) -> str:
        """The tables for people."""
        rows = [(one.load, f"{one.p50:.1f}", f"{one.p99:.1f}", f"{one.rate:.1f}") for one in self.lines]
        latencies = page.table(("load", "p50, ms", "p99, ms", "texts/s"), rows)
        return "\n\n".join([ratio_table(self.ratios), latencies, *self.notes])


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of both kinds, and as requests."""

    even: list[str]
    mixed: list[str]

    @classmethod
    def of(cls, artifact: Path, effort: Effort) -> Texts:
        """As many as a round needs."""
        described = read_artifact(artifact)
        chunker = Chunker.from_file(described.path(FILES.tokenizer), described.limits)
        return cls(even(chunker, 4 * effort.texts), mixed(chunker, 6 * effort.texts))


def latency(report: Report, client: Client, loop: Peer, texts: Sequence[str], effort: Effort) -> float:
    """The sidecar beside the bare loop, at 1, 8 and 32 in flight.

    Returns:
        Texts a second at 32 in flight.
    """
    capacity = 0.0
    for in_flight, count in zip(_IN_FLIGHT, (effort.texts, 2 * effort.texts, 4 * effort.texts), strict=True):
        part = list(texts[:count])
        requests = [request(text) for text in part]
        served, alone = _turns(effort.rounds, partial(client.closed, requests, in_flight), partial(loop.times, part))
        rates = [one.rate for one in served]
        bare_rates = [1000 * len(times) / sum(times) for times in alone]
        ours = report.line(f"{in_flight} in flight", _all(one.ms() for one in served), float(np.median(rates)))
        bare = report.line(f"{in_flight} in flight: bare loop", _all(alone), float(np.median(bare_rates)))
        if in_flight == 1:
            medians = [np.median(a.ms()) / np.median(b) for a, b in zip(served, alone, strict=True)]
            what = f"p50 of a text of {EVEN} tokens, 1 in flight, beside the bare loop"
            report.ratios.append(rounds(what, f"{ours.p50:.2f} ms", f"{bare.p50:.2f} ms", medians, at_most=1.2))
        if in_flight == _MOST:
            ratios = [a / b for a, b in zip(rates, bare_rates, strict=True)]
            what = f"texts/s of {EVEN} tokens, {_MOST} in flight, beside the bare loop"
            report.ratios.append(rounds(what, f"{ours.rate:.1f}/s", f"{bare.rate:.1f}/s", ratios, at_least=0.95))
        capacity = ours.rate
    return capacity


def batching(report: Report, on: Client, off: Client, loop: Peer, texts: Sequence[str], effort: Effort) -> float:
    """Mixed lengths with batching beside the same without, and beside the bare loop.

    Returns:
        Texts a second with batching.
    """
    requests = [request(text) for text in texts]
    found = _turns(effort.rounds, partial(on.closed, requests, _MOST), partial(off.closed, requests, _MOST))
    ours, other = (
        report.line(name, _all(one.ms() for one in served), float(np.median([one.rate for one in served])))
        for name, served in zip((f"mixed, {_MOST} in flight", "mixed, batching off"), found, strict=True)
    )
    times = loop.times(texts)
    report.line("mixed: bare loop", times, 1000 * len(times) / sum(times))
    ratios = [a.rate / b.rate for a, b in zip(*found, strict=True)]
    what = "texts/s of mixed lengths, beside the same with batching off"
    report.ratios.append(rounds(what, f"{ours.rate:.1f}/s", f"{other.rate:.1f}/s", ratios, at_least=1.1))
    return ours.rate


def steady(
    report: Report, client: Client, name: str, texts: Sequence[str], capacity: float, effort: Effort
) -> list[tuple[float, float]]:
    """Texts that come at random at 70 % of capacity, in several windows.

    Returns:
        The p50 and the p99 of each window, in ms: what else the machine does for a moment spoils one window.
    """
    requests = [request(text) for text in texts]
    windows = [
        client.opened(requests, rate=0.7 * capacity, seconds=effort.seconds / 5, deadline=30, seed=number)
        for number in range(effort.rounds)
    ]
    rate = float(np.median([window.rate for window in windows]))
    report.line(f"{name}, arriving at 70 % of capacity", _all(window.ms() for window in windows), rate)
    points = [np.percentile(window.ms(), [50, 99]) for window in windows]
    return [(float(middle), float(most)) for middle, most in points]


def overload(
    report: Report, client: Client, server: Sidecar, texts: Sequence[str], capacity: float, effort: Effort
) -> None:
    """Mixed texts that come at random at 300 % of capacity, each with a deadline."""
    memory: list[int] = []
    served = client.opened(
        [request(text) for text in texts],
        rate=3 * capacity,
        seconds=effort.seconds,
        deadline=_DEADLINE,
        observe=lambda: memory.append(server.usage().resident),
    )
    let_in = [answer for answer in served.answers if not answer.refused]
    refused = [answer.ms for answer in served.answers if answer.refused] or [0.0]
    report.line("mixed, arriving at 300 % of capacity: accepted", served.ms(), served.rate)
    report.line("mixed, arriving at 300 % of capacity: refused", refused, len(refused) / served.seconds)
    late = [answer for answer in let_in if not answer.scored]
    # What was let in and not scored in time took for ever, however soon its caller was told.
    accepted = float(np.percentile([answer.ms if answer.scored else np.inf for answer in let_in], 99, method="higher"))
    refusal, third = float(np.percentile(refused, 99)), max(1, len(memory) // 3)
    before, behind = (float(np.median(part)) for part in (memory[:third], memory[-third:]))
    report.ratios += [
        _single("p99 of what is accepted at 300 % of capacity", accepted, 1000 * _DEADLINE, "ms", 1),
        _single("p99 of a refusal at 300 % of capacity", refusal, 1000 * _PROMPTLY, "ms", 1),
        _single("memory at the end of the overload, beside its beginning", behind / 1e6, before / 1e6, "MB", 1.05),
        _single("slowest health check at 300 % of capacity", max(served.health), 1000, "ms", 1),
    ]
    report.notes.append(
        f"At 300 % of capacity {len(served.answers)} texts came in {effort.seconds:g} s: {len(refused)} were refused "
        f"(the slowest after {max(refused):.0f} ms), {len(let_in)} accepted, {len(late)} of them not scored in time; "
        f"{len(served.health)} health checks were answered."
    )


def memory(report: Report, artifact: Path, texts: Sequence[str], effort: Effort) -> None:
    """Peak memory of a sidecar as it comes, on every core, with texts of all lengths and long ones among them."""
    long = ["\n".join(texts[at : at + _LONG_TEXTS]) for at in range(0, len(texts), _LONG_TEXTS)]
    requests = [request(text) for text in [*texts, *long]]
    with (
        sidecar(sorted(os.sched_getaffinity(0)), model=artifact, request_timeout=600) as server,
        Client(server.address) as client,
    ):
        for _ in range(max(1, effort.rounds // 4)):
            client.closed(requests, _MOST)
        peak = server.usage().peak
    report.ratios.append(_single("peak memory of the whole sidecar", peak / 1e6, _MEMORY / 1e6, "MB", 1))


def pipelines(report: Report, client: Client, cores: Cores, artifact: Path, texts: Sequence[str]) -> None:
    """The same texts through a Hugging Face pipeline, one by one and in batches of its own."""
    part = list(texts[: 3 * _PIPELINE_BATCH])
    requests = [request(text) for text in part] * 8
    for kind, name, least in (("roberta", "roberta-base-sized", 10.0), ("same", "same-sized", 2.0)):
        with peer([cores.server], kind, artifact) as other:
            if other is None:
                report.notes.append(f"The {name} pipeline was left out: PyTorch or transformers is not installed.")
                continue
            for batch, how in ((1, "one text at a time"), (_PIPELINE_BATCH, f"in batches of {_PIPELINE_BATCH}")):
                ours, theirs = _turns(2, partial(client.closed, requests, _MOST), partial(other.times, part, batch))
                rates = [1000 * len(part) / sum(times) for times in theirs]
                ratios = [a.rate / b for a, b in zip(ours, rates, strict=True)]
                own, beside = float(np.median([one.rate for one in ours])), float(np.median(rates))
                what = f"texts/s of mixed lengths, beside a {name} pipeline {how}"
                report.ratios.append(rounds(what, f"{own:.1f}/s", f"{beside:.1f}/s", ratios, at_least=least))


def measure(artifact: Path, effort: Effort) -> Report:
    """Measure everything; some minutes with an effort of 1.

    Raises:
        SystemExit: There are not two cores, or the sidecar does not start.
    """
    cores, report, texts = Cores.here(), Report(load_before=os.getloadavg()[0]), Texts.of(artifact, effort)
    server = [cores.server]
    quiet = {"model": artifact, "cache_entries": 0, "request_timeout": 600}
    with (
        sidecar(server, **quiet) as running,
        sidecar(server, **quiet, batching=False) as unbatched,
        peer(server, "bare", artifact) as loop,
        pinned([cores.client]),
        Client(running.address) as client,
        Client(unbatched.address) as off,
    ):
        if loop is None:
            sys.exit("the bare loop needs tokenizers (pip install -e '.[dev]')")
        report.model = running.model
        for each in (client, off):  # whatever is slow the first time
            each.closed([request(text) for text in texts.mixed[: effort.texts]], _MOST)
        capacity = latency(report, client, loop, texts.even, effort)
        mixed_capacity = batching(report, client, off, loop, texts.mixed, effort)
        points = steady(report, client, f"{EVEN} tokens", texts.even, capacity, effort)
        what = f"p99 beside p50 of texts of {EVEN} tokens that come at 70 % of capacity"
        middle, most = (float(np.median(column)) for column in zip(*points, strict=True))
        ratios = [p99 / p50 for p50, p99 in points]
        report.ratios.append(rounds(what, f"{most:.1f} ms", f"{middle:.1f} ms", ratios, at_most=4))
        steady(report, client, "mixed", texts.mixed, mixed_capacity, effort)
        overload(report, client, running, texts.mixed, mixed_capacity, effort)
        report.notes.append(profile(running.address, artifact, texts.even[: effort.texts]))
        pipelines(report, client, cores, artifact, texts.mixed)
    memory(report, artifact, texts.mixed, effort)
    return report


def _turns(count: int, ours: Callable[[], Served], other: Callable[[], _T]) -> tuple[list[Served], list[_T]]:
    """Measure two things by turns, so that what else the machine does meets both alike."""
    first: list[Served] = []
    second: list[_T] = []
    for number in range(count):
        if number % 2:
            second.append(other())
            first.append(ours())
        else:
            first.append(ours())
            second.append(other())
    return first, second


def _single(what: str, measured: float, beside: float, unit: str, at_most: float) -> Ratio:
    """A ratio that was measured once; infinite where there was no answer in time."""
    digits = 0 if unit == "MB" else 1
    ratio = measured / beside
    shown, other = f"{measured:.{digits}f} {unit}", f"{beside:.{digits}f} {unit}"
    return Ratio(what, shown, other, ratio, ratio, ratio, at_most, at_most=True)


def _all(parts: Iterable[Sequence[float]]) -> list[float]:
    return [value for part in parts for value in part]


def main() -> None:
    """Measure, print the tables, and write what was asked for."""
    parser = argparse.ArgumentParser(description="The sidecar under load.")
    parser.add_argument("--artifact", type=Path, default=DEFAULT_MODEL_DIR, help="model directory (default: shipped)")
    parser.add_argument("--effort", type=float, default=1.0, help="1 is some minutes; 0 only shows that it works")
    parser.add_argument("--output", type=Path, help="JSON file")
    given = parser.parse_args()
    report = measure(given.artifact, Effort.of(given.effort))
    sys.stdout.write(report.markdown() + "\n")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
