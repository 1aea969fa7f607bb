"""The sidecar for as long as there is time: does it hold more at the end than at the beginning?

Everything that callers do comes by turns, at a gentle pace: texts of all lengths, harmful and personal ones among them,
batches, streams that end, that are blocked and that are left, calls that nobody waits for, broken messages, texts over
the limit. Its policy is written anew, with the same meaning, every half minute. Memory, threads and open files are
looked at every few seconds. The run is sound if every call ended as it should, nothing was held at the end that was not
held after the first minute, and SIGTERM ends it with status 0.

Usage: ``python -m tests.bench.soak [--minutes M] [--rate R] [--model DIR] [--output FILE.json]``.
Exit code 1: not sound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc

from guard.errors import DeadlineExceeded, GuardError, InvalidInput, Overloaded
from guard.policy.load import SHIPPED_DIR
from guard.sdk.aio import AsyncGuardClient
from tests.bench import stream_texts as written
from tests.bench.processes import Sidecar, Usage, sidecar

# Seconds between two looks, between two versions of the policy, and at most until everything was used once.
_LOOK, _REWRITE, _WARM = 5.0, 30.0, 60.0
# A heap breathes, and a pool's thread or a connection may come with a caller who came late: no leak.
_BREATH, _FEW = 1.1, 2
_TOO_LONG = "word " * 40_000
# Calls that take a second of a core come less often than others.
_RARELY = {"text over the limit": 0.02, "long text": 0.2}


@dataclass(slots=True)
class Soak:
    """What one run found.

    Attributes:
        minutes: How long it took.
        calls: What was done, and how often.
        wrong: What ended as it should not, and how often.
        begin: What the sidecar held when it was warm.
        end: What it held at the end, when the last caller had left.
        status: Its exit status.
    """

    minutes: float
    calls: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    begin: Usage | None = None
    end: Usage | None = None
    status: int | None = None

    @property
    def faults(self) -> list[str]:
        """Why the run is not sound."""
        assert self.begin is not None and self.end is not None
        found = [f"{what}: {count}" for what, count in self.wrong.items()]
        if self.end.resident > _BREATH * self.begin.resident:
            found.append("memory has grown")
        if self.end.threads > self.begin.threads + _FEW:
            found.append("threads have grown")
        if self.end.files > self.begin.files + _FEW:
            found.append("open files have grown")
        return found if self.status == 0 else [*found, f"exit status {self.status}"]

    def markdown(self) -> str:
        """A table for people."""
        assert self.begin is not None and self.end is not None
        lines = ["| | warm | end |", "| --- | ---: | ---: |"]
        lines += [
            f"| memory, MB | {self.begin.resident / 1e6:.1f} | {self.end.resident / 1e6:.1f} |",
            f"| peak so far, MB | {self.begin.peak / 1e6:.1f} | {self.end.peak / 1e6:.1f} |",
            f"| threads | {self.begin.threads} | {self.end.threads} |",
            f"| open files | {self.begin.files} | {self.end.files} |",
        ]
        done = ", ".join(f"{count} x {what}" for what, count in sorted(self.calls.items()))
        return "\n".join([*lines, "", f"{self.minutes:.1f} minutes: {done}. Faults: {self.faults or 'none'}."])


class Callers:
    """Every kind of caller. Of one event loop.

    Attributes:
        kinds: What each of them is called, and does; one that ends otherwise than it should raises.
    """

    def __init__(self, client: AsyncGuardClient, raw: grpc.aio.Channel, draw: random.Random) -> None:
        self._client = client
        self._screen: Any = raw.unary_unary("/guard.v1.GuardService/Screen")
        self._draw = draw
        self.kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "text": self._text,
            "text and answer": self._personal,
            "batch": self._batch,
            "long text": self._long,
            "stream": self._stream,
            "blocked stream": self._blocked_stream,
            "left stream": self._left_stream,
            "left call": self._left_call,
            "late call": self._late_call,
            "broken message": self._broken,
            "text over the limit": self._over,
            "info": self._info,
        }

    def _some(self, most: int) -> str:
        return written.filler(self._draw, self._draw.random() < 0.5, self._draw.randrange(1, most))

    async def _text(self) -> None:
        assert not (await self._client.screen(self._some(8), context=self._draw.choice((None, self._some(3))))).degraded

    async def _personal(self) -> None:
        text = f"{self._some(3)} {written.phone(self._draw)} {written.email(self._draw)} {written.id_card(self._draw)}"
        assert (await self._client.screen(text, "output")).action != "allow"

    async def _batch(self) -> None:
        texts = [self._some(4) for _ in range(self._draw.randrange(2, 12))]
        results = await self._client.screen_batch([*texts, " "])
        assert isinstance(results[-1], InvalidInput)
        assert not any(isinstance(result, GuardError) or result.degraded for result in results[:-1])

    async def _long(self) -> None:
        assert (await self._client.screen(self._some(120))).action

    async def _stream(self) -> None:
        text = self._some(12)
        stream = self._client.screen_stream(_deltas(text), context="A question.")
        shown = "".join([piece async for piece in stream])
        assert shown == text or stream.decision.action != "allow"

    async def _blocked_stream(self) -> None:
        text = "".join(self._draw.choice(written.HARMFUL_ENGLISH) + " " for _ in range(4)) + self._some(8)
        stream = self._client.screen_stream(_deltas(text))
        async for _ in stream:
            pass
        assert stream.decision.action != "allow"

    async def _left_stream(self) -> None:
        stream = self._client.screen_stream(_deltas(self._some(60), wait=0.01))
        async for _ in stream:
            break
        await stream.close()

    async def _left_call(self) -> None:
        call = asyncio.ensure_future(self._client.screen(self._some(60)))
        await asyncio.sleep(0.002)
        call.cancel()
        await asyncio.wait({call})

    async def _late_call(self) -> None:
        with suppress(DeadlineExceeded):
            await self._client.screen(self._some(60), timeout=0.003)

    async def _broken(self) -> None:
        try:
            await self._screen(b"\xff" + self._draw.randbytes(30))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - either outcome is right

    async def _over(self) -> None:
        try:
            await self._client.screen(_TOO_LONG)
        except InvalidInput:
            return
        raise AssertionError("a text over the limit was screened")

    async def _info(self) -> None:
        assert (await self._client.info()).model.name


async def _deltas(text: str, wait: float = 0.0) -> AsyncIterator[str]:
    for at in range(0, len(text), 9):
        await asyncio.sleep(wait)
        yield text[at : at + 9]


async def call(server: Sidecar, soak: Soak, policy: Path, rate: float) -> None:
    """Let callers come for the time that was asked for, and look at the sidecar when it is warm and at the end."""
    draw, original = random.Random(20261122), policy.read_text(encoding="utf-8")
    began = time.monotonic()
    ends, look, rewrite = began + 60 * soak.minutes, began, began
    warm = began + min(_WARM, 20 * soak.minutes)
    async with AsyncGuardClient(server.address) as client, grpc.aio.insecure_channel(server.address) as raw:
        callers = Callers(client, raw, draw)
        open_calls: set[asyncio.Task[None]] = set()
        while (now := time.monotonic()) < ends:
            (kind,) = draw.choices(list(callers.kinds), [_RARELY.get(kind, 1.0) for kind in callers.kinds])
            task = asyncio.ensure_future(_noted(soak, kind, callers.kinds[kind]))
            open_calls.add(task)
            task.add_done_callback(open_calls.discard)
            if soak.begin is None and now >= warm:
                soak.begin = server.usage()
            if now >= look:
                look += _LOOK
                sys.stderr.write(f"{now - began:6.0f} s  {server.usage()}\n")
            if now >= rewrite:
                rewrite += _REWRITE
                # Whole or not at all, as an editor saves.
                fresh = policy.with_suffix(".new")
                fresh.write_text(f"{original}\n# {now}\n", encoding="utf-8")
                os.replace(fresh, policy)
            await asyncio.sleep(draw.expovariate(rate))
        if open_calls:
            await asyncio.wait(open_calls)
        await asyncio.sleep(1)
        soak.end = server.usage()


async def _noted(soak: Soak, kind: str, do: Callable[[], Awaitable[None]]) -> None:
    try:
        await do()
    except Overloaded:
        # A right answer, too: on a machine that others use the sidecar may have more to do than it can.
        kind = f"{kind}, refused"
    except Exception as error:
        what = f"{kind}: {type(error).__name__}: {str(error)[:120]}"
        soak.wrong[what] = soak.wrong.get(what, 0) + 1
    soak.calls[kind] = soak.calls.get(kind, 0) + 1


def run(minutes: float, rate: float, model: Path | None, cores: list[int]) -> Soak:
    """Start a sidecar as it comes, and soak it."""
    soak = Soak(minutes)
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "default.yaml"
        policy.write_text((SHIPPED_DIR / "default.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        with sidecar(cores, policy=folder, model=model) as server:
            asyncio.run(call(server, soak, policy, rate))
            soak.status = server.end()
    return soak


def main() -> int:
    """Run, print the table, and write what was asked for; the exit code."""
    parser = argparse.ArgumentParser(description="The sidecar for a long time.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=10, help="calls a second, on average")
    parser.add_argument("--model", type=Path, help="model directory (default: shipped)")
    parser.add_argument("--output", type=Path, help="JSON file")
    given = parser.parse_args()
    soak = run(given.minutes, given.rate, given.model, sorted(os.sched_getaffinity(0)))
    sys.stdout.write(soak.markdown() + "\n")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(asdict(soak), indent=1) + "\n", encoding="utf-8")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
