"""Where the time of one call goes, with one in flight: the sidecar's own phases, gRPC alone, and the engine's Python.

The engine's Python is timed in process twice on the same texts: by itself, and with a run of the model before each
text, as it is in a server. What the second takes more is the processor's caches, which a run of the model empties.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guard.classifier.classifier import Query, Scored
from guard.engine import Engine
from guard.types import Content, Direction
from guard.v1 import guard_pb2 as pb
from tests.bench import page
from tests.bench.load import SCREEN, request

_ROUNDS = 3


def profile(address: str, model: Path, texts: Sequence[str]) -> str:
    """The medians as a Markdown table; the caller decides which cores are used.

    Args:
        address: Of a sidecar that does nothing else.
        model: Its model.
        texts: Single-chunk texts.
    """
    whole, phases, health = _served(address, texts)
    alone, behind = _in_process(model, texts)
    known = health + sum(phases.values())
    rows = [
        ("a call", whole),
        ("of it: the run of the model", phases["infer"]),
        ("of it: gRPC, as in a health check behind another call", health),
        ("of it: reading the text", phases["tokenise"]),
        ("of it: rules and recognizers", phases["decide"]),
        ("of it: handing over to the thread that computes", phases["queue"]),
        ("of it: the rest (messages, pooling, looking for disguises, waking up)", whole - known),
        ("the engine's Python in process, no model in between", alone),
        ("the engine's Python in process, a run of the model before each text", behind),
    ]
    return page.table(("one in flight", "p50, ms"), [(what, f"{ms:.2f}") for what, ms in rows])


def _served(address: str, texts: Sequence[str]) -> tuple[float, dict[str, float], float]:
    with grpc.insecure_channel(address) as channel:
        screen: Any = channel.unary_unary(SCREEN, None, pb.ScreenResponse.FromString)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        requests = [request(text) for text in texts] * _ROUNDS
        screen(requests[0])
        timings: list[pb.Timings] = []
        health: list[float] = []

        def call(raw: bytes) -> None:
            timings.append(screen(raw).decision.timings)

        whole = [_ms(partial(call, raw)) for raw in requests]
        for raw in requests:
            screen(raw)
            health.append(_ms(lambda: stub.Check(health_pb2.HealthCheckRequest())))
    names = [field.name.removesuffix("_us") for field in pb.Timings.DESCRIPTOR.fields]
    phases = {name: float(np.median([getattr(one, f"{name}_us") for one in timings])) / 1000 for name in names}
    return float(np.median(whole)), phases, float(np.median(health))


def _in_process(model: Path, texts: Sequence[str]) -> tuple[float, float]:
    engine = Engine.load(model)
    engine.warm_up()
    known = {text: engine.classifier.score(Query(text, Direction.PROMPT)) for text in texts}

    def screen(text: str) -> None:
        steps = engine.screening([Content(text, Direction.PROMPT)])
        queries = next(steps)
        while True:
            found: list[Scored | str | Exception] = []
            for query in queries:
                assert isinstance(query, Query)
                engine.classifier.read(query)
                found.append(known[text])
            try:
                queries = steps.send(found)
            except StopIteration:
                return

    def behind(text: str) -> float:
        engine.classifier.score(Query(text, Direction.PROMPT))
        return _ms(lambda: screen(text))

    kinds = (lambda text: _ms(lambda: screen(text)), behind)
    alone, cold = ([kind(text) for _ in range(_ROUNDS) for text in texts] for kind in kinds)
    return float(np.median(alone)), float(np.median(cold))


def _ms(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000
