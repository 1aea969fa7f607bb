"""Ten thousand requests that nobody would send on purpose, and a sidecar that is none the worse for them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from guard.v1 import guard_pb2 as pb
from tests.serving import sidecar
from tests.wild import spoilt, wild_message

_REQUESTS, _IN_FLIGHT, _TIMEOUT = 10_000, 32, 60
_MET_THE_END = "Internal error from Core"
_RIGHT = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
_UNARY = {"Screen": pb.ScreenRequest, "ScreenBatch": pb.ScreenBatchRequest, "GetInfo": pb.GetInfoRequest}


def _requests(draw: random.Random) -> Iterator[tuple[str, list[bytes]]]:
    """A method and what is sent to it: a message, a spoilt one, or bytes; several to a stream."""
    for number in range(_REQUESTS):
        name = draw.choice(("Screen", "Screen", "ScreenBatch", "GetInfo", "ScreenStream"))
        kind = _UNARY.get(name, pb.ScreenStreamRequest)
        raws = []
        for _ in range(1 if name in _UNARY else draw.randrange(4)):
            raw = wild_message(draw, kind).SerializeToString()
            raws.append((raw, spoilt(draw, raw), draw.randbytes(draw.randrange(200)))[number % 3])
        if name == "ScreenStream" and draw.random() < 0.7:
            raws.insert(0, b"\x0a\x02\x08\x02")  # a sound opening, so that what follows is read
        yield name, raws


async def _answered(channel: grpc.aio.Channel, name: str, raws: list[bytes]) -> grpc.StatusCode:
    path = f"/guard.v1.GuardService/{name}"
    try:
        if name in _UNARY:
            unary: Any = channel.unary_unary(path)
            await unary(raws[0], timeout=_TIMEOUT)
        else:
            stream: Any = channel.stream_stream(path)
            async for _ in stream(iter(raws), timeout=_TIMEOUT):
                pass
    except grpc.aio.AioRpcError as error:
        # What the client's own library says where a stream's next message meets its end; no server has said it, and
        # one that fails logs it.
        return grpc.StatusCode.INVALID_ARGUMENT if error.details() == _MET_THE_END else error.code()
    return grpc.StatusCode.OK


async def _send(address: str) -> Counter[grpc.StatusCode]:
    requests, codes = _requests(random.Random(20261122)), Counter[grpc.StatusCode]()
    async with grpc.aio.insecure_channel(address) as channel:

        async def caller() -> None:
            for name, raws in requests:
                codes[await _answered(channel, name, raws)] += 1

        await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
        content = pb.Content(text="a bomb", direction=pb.DIRECTION_PROMPT)
        screen: Any = channel.unary_unary("/guard.v1.GuardService/Screen", None, pb.ScreenResponse.FromString)
        answer = await screen(pb.ScreenRequest(content=content).SerializeToString(), timeout=_TIMEOUT)
        assert answer.decision.action == pb.ACTION_BLOCK and not answer.decision.degraded
    return codes


def test_ten_thousand_wild_requests(tiny_model_dir: Path, policy_dir: Path) -> None:
    """Random bytes and random messages are answered or the caller's mistake, none is INTERNAL, and nothing breaks."""
    with sidecar(tiny_model_dir, policy_dir, log_level="error", request_timeout=_TIMEOUT) as running:
        codes = asyncio.run(_send(running.address))
        assert codes.keys() == _RIGHT and codes.total() == _REQUESTS
        assert running.terminate() == 0
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""
