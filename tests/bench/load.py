"""Load on a sidecar: callers who wait for their answers, and callers who come whether or not others were answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guard.v1 import guard_pb2 as pb

_T = TypeVar("_T")

#: The method that is called.
SCREEN = "/guard.v1.GuardService/Screen"
# Seconds between two looks at health and at whatever else is observed.
_PULSE = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one call.

    Attributes:
        ms: Milliseconds from when the call was due; not from when a busy client came to make it.
        code: Its gRPC status.
        degraded: Whether the text was decided without having been scored.
    """

    ms: float
    code: grpc.StatusCode
    degraded: bool = False

    @property
    def scored(self) -> bool:
        """Whether the text was screened as it should be."""
        return self.code is grpc.StatusCode.OK and not self.degraded

    @property
    def refused(self) -> bool:
        """Whether it was turned away."""
        return self.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True)
class Served:
    """The answers to one load, the seconds until the last of them, and meanwhile the milliseconds of health checks."""

    answers: tuple[Answer, ...]
    seconds: float
    health: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Texts scored a second."""
        return sum(answer.scored for answer in self.answers) / self.seconds

    def ms(self) -> list[float]:
        """Milliseconds of the texts that were scored."""
        return [answer.ms for answer in self.answers if answer.scored]


def request(text: str) -> bytes:
    """A ScreenRequest."""
    content = pb.Content(text=text, direction=pb.DIRECTION_PROMPT)
    return pb.ScreenRequest(content=content).SerializeToString()


class Client:
    """Calls one sidecar from this process. Use it as a context manager; it has an event loop of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._runner = asyncio.Runner()
        self._channel: grpc.aio.Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._runner.run(self._channel.close())
        self._runner.close()

    def closed(self, requests: Sequence[bytes], in_flight: int) -> Served:
        """So many callers, each of whom sends the next request when the last one was answered."""
        return self._run(lambda: self._closed(iter(requests), in_flight))

    def opened(
        self,
        requests: Sequence[bytes],
        *,
        rate: float,
        seconds: float,
        deadline: float,
        observe: Callable[[], None] = lambda: None,
        seed: int = 0,
    ) -> Served:
        """Requests that come at random times, whatever became of the ones before (Poisson arrivals).

        Args:
            requests: Sent in order, over and over.
            rate: Requests a second, on average.
            seconds: For how long they come.
            deadline: Seconds that each of them waits for its answer.
            observe: Called ten times a second meanwhile.
            seed: Of the times.
        """
        draw = random.Random(seed)
        return self._run(lambda: self._opened(requests, rate, seconds, deadline, observe, draw))

    def _run(self, load: Callable[[], Awaitable[_T]]) -> _T:
        async def go() -> _T:
            if self._channel is None:
                # It belongs to the loop in which it is made.
                self._channel = grpc.aio.insecure_channel(self._address)
            return await load()

        return self._runner.run(go())

    async def _closed(self, requests: Iterator[bytes], in_flight: int) -> Served:
        answers: list[Answer] = []

        async def caller() -> None:
            while (raw := next(requests, None)) is not None:
                answers.append(await self._call(raw, time.perf_counter(), None))

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return Served(tuple(answers), time.perf_counter() - began)

    async def _opened(
        self,
        requests: Sequence[bytes],
        rate: float,
        seconds: float,
        deadline: float,
        observe: Callable[[], None],
        draw: random.Random,
    ) -> Served:
        pulse: list[float] = []
        watching = asyncio.ensure_future(self._watch(pulse, observe))
        calls = []
        began = due = time.perf_counter()
        for raw in cycle(requests):
            due += draw.expovariate(rate)
            if due > began + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            calls.append(asyncio.ensure_future(self._call(raw, due, deadline)))
        answers = await asyncio.gather(*calls)
        taken = time.perf_counter() - began
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        return Served(tuple(answers), taken, tuple(pulse))

    async def _call(self, raw: bytes, due: float, timeout: float | None) -> Answer:
        assert self._channel is not None
        screen: Any = self._channel.unary_unary(SCREEN, None, pb.ScreenResponse.FromString)
        try:
            response = await screen(raw, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return Answer((time.perf_counter() - due) * 1000, error.code())
        return Answer((time.perf_counter() - due) * 1000, grpc.StatusCode.OK, response.decision.degraded)

    async def _watch(self, pulse: list[float], observe: Callable[[], None]) -> None:
        """Ask for health, and observe, until cancelled; a check that fails takes for ever."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            while True:
                observe()
                began = time.perf_counter()
                try:
                    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
                    well = answer.status == health_pb2.HealthCheckResponse.SERVING
                except grpc.aio.AioRpcError:
                    well = False
                pulse.append((time.perf_counter() - began) * 1000 if well else float("inf"))
                await asyncio.sleep(_PULSE)
