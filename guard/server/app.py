"""The composition root of a served guard: settings in, a listening server out, and its orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_reflection.v1alpha import reflection

from guard.address import Address
from guard.classifier.batcher import Batcher
from guard.classifier.cache import ScoreCache
from guard.engine import Engine
from guard.errors import Unavailable
from guard.llm import rewrite_by_llm
from guard.policy.load import resolve_policy
from guard.server.address import check_free
from guard.server.health import Health
from guard.server.logs import configure_logs
from guard.server.screener import Screener
from guard.server.servicer import SERVICE, GuardServicer
from guard.server.settings import Settings

_log = logging.getLogger(__name__)

# gRPC refuses a message over its own bound with RESOURCE_EXHAUSTED, which callers take for "retry later". Its bound
# lies above ours, so that what is too large is told as such, with the field named.
_TRANSPORT_HEADROOM = 4

# Language models that are waited for at once, where a policy asks one; a thread each.
_MOST_ASKED = 16


class GuardServer:
    """An engine behind gRPC with health and reflection. Belongs to one event loop; starts once and stops once.

    Attributes:
        addresses: Where it listens, with the real ports; empty before :meth:`start`.
        screener: Decides; its ``load`` says what waits and what was counted.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="prepare")
        self._batcher = Batcher(
            workers=settings.workers,
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.max_queue_tokens,
            batching=settings.batching,
        )
        cache = ScoreCache(settings.cache_entries) if settings.cache_entries else None
        self._asking = ThreadPoolExecutor(_MOST_ASKED, thread_name_prefix="ask")
        self.screener = Screener(
            self._batcher, self._pool, cache=cache, timeout=settings.request_timeout, asking=self._asking
        )
        self._servicer = GuardServicer(engine, self.screener, self._pool, max_message_bytes=settings.max_message_bytes)
        self._health = Health((SERVICE,))
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes * _TRANSPORT_HEADROOM),
                ("grpc.max_send_message_length", -1),
                # A caller whose machine vanished says no goodbye; its streams end when it no longer answers a ping.
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
            ]
        )

    async def start(self) -> None:
        """Listen on every address of the settings and answer.

        Raises:
            Unavailable: An address is in use or cannot be listened at; nothing listens then.
        """
        self._server.add_generic_rpc_handlers((self._servicer.rpcs(),))
        self._health.register(self._server)
        reflection.enable_server_reflection((SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME), self._server)
        try:
            # All before the first: gRPC gives no bound address back.
            for address in self._settings.addresses:
                check_free(address)
            self.addresses = tuple(self._bind(address) for address in self._settings.addresses)
        except Unavailable:
            await self._end(0)
            raise
        await self._server.start()
        await self._health.serving()

    async def stop(self) -> None:
        """Tell health NOT_SERVING, refuse new calls, let those in flight finish within the grace, and end."""
        await self._health.not_serving()
        stopping = asyncio.ensure_future(self._server.stop(self._settings.grace))
        idle = asyncio.ensure_future(self._servicer.idle())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        self._health.end_watches()
        await stopping
        await self._end(None)

    def _bind(self, address: Address) -> Address:
        try:
            port = self._server.add_insecure_port(str(address))
        except RuntimeError:
            # Free a moment ago: somebody else was faster.
            raise Unavailable(f"{address} cannot be listened at (give --listen another address)") from None
        return address.with_port(port)

    async def _end(self, grace: float | None) -> None:
        await self._server.stop(grace)
        # A text that is at work outlasts the grace; meanwhile the loop tells its caller.
        await asyncio.to_thread(self._batcher.close)
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        self._asking.shutdown(wait=False, cancel_futures=True)


def serve(settings: Settings) -> None:
    """Load, warm up, listen, print one ready line per address, and answer until SIGTERM or SIGINT.

    Raises:
        InvalidInput: There is no such policy.
        ArtifactError: The model directory cannot be used.
        PolicyError: A policy has mistakes.
        Unavailable: An address is in use or cannot be listened at.
    """
    configure_logs(settings.log_level, settings.log_format)
    policy = None if settings.policy is None else resolve_policy(settings.policy)
    engine = Engine.load(
        settings.model, policy, threads=settings.threads, max_tokens=settings.max_tokens, rewriter=rewrite_by_llm
    )
    engine.warm_up()
    asyncio.run(_serve(engine, settings))


async def _serve(engine: Engine, settings: Settings) -> None:
    asked_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_end.set)
    server = GuardServer(engine, settings)
    await server.start()
    loaded = _loaded(engine)
    for address in server.addresses:
        # Scripts wait for this line on standard output, so it must not linger in a buffer.
        sys.stdout.write(f"guard ready on {address} ({loaded})\n")
    sys.stdout.flush()
    await asked_to_end.wait()
    # From here on an impatient second Ctrl-C ends the process at once.
    loop.remove_signal_handler(signal.SIGINT)
    _log.info("draining, at most %g s", settings.grace)
    await server.stop()
    _log.info("stopped")


def _loaded(engine: Engine) -> str:
    info = engine.info()
    policies = ", ".join(f"{policy.name}@{policy.revision}" for policy in info.policies)
    return f"model {info.model.name}@{info.model.revision}, policies {policies}"
