"""The composition root of a served guard: settings in, a listening server out, and its orderly end."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import grpc
from grpc_reflection.v1alpha import reflection

from guard.address import Address
from guard.classifier.batcher import Batcher
from guard.classifier.cache import ScoreCache
from guard.engine import Engine
from guard.errors import Unavailable
from guard.llm import rewrite_by_llm
from guard.policy.load import resolve_policy
from guard.server.access import Access
from guard.server.address import check_free
from guard.server.decision_log import open_log
from guard.server.health import Health
from guard.server.live import Live
from guard.server.lock import SocketLock
from guard.server.metrics import Metrics, ServerState
from guard.server.metrics_port import MetricsPort
from guard.server.observer import Observer
from guard.server.reload import Reloader, model_source, policy_source
from guard.server.screener import Screener
from guard.server.servicer import SERVICE, GuardServicer
from guard.server.settings import Settings
from guard.server.watch import Watch

_log = logging.getLogger(__name__)

# gRPC refuses a message over its own bound with RESOURCE_EXHAUSTED, which callers take for "retry later". Its bound
# lies above ours, so that what is too large is told as such, with the field named.
_TRANSPORT_HEADROOM = 4

# Seconds that the decision log has to write what waits, after the last request.
_FLUSH = 5.0

# Seconds at least that threads have to end in, where the grace is used up: those that do nothing end at once.
_LEAST_PATIENCE = 1.0

# Language models that are waited for at once, where a policy asks one; a thread each.
_MOST_ASKED = 16


@dataclass(frozen=True, slots=True)
class Files:
    """Where an engine comes from, under observation since before it was read; None for what is in the package."""

    policy: Path | None
    model: Path | None
    policy_watch: Watch
    model_watch: Watch

    @classmethod
    def of(cls, settings: Settings) -> Files:
        """The files that the settings name.

        Raises:
            InvalidInput: There is no such policy.
        """
        policy = None if settings.policy is None else resolve_policy(settings.policy)
        return cls(policy, settings.model, _watch(policy), _watch(settings.model))


def _watch(path: Path | None) -> Watch:
    return Watch() if path is None else Watch(path)


def load_engine(files: Files, settings: Settings) -> Engine:
    """The engine of a server, warmed up.

    Raises:
        ArtifactError: The model directory cannot be used.
        PolicyError: A policy has mistakes.
    """
    engine = Engine.load(
        files.model, files.policy, threads=settings.threads, max_tokens=settings.max_tokens, rewriter=rewrite_by_llm
    )
    engine.warm_up()
    return engine


class GuardServer:
    """An engine behind gRPC with health and reflection. Belongs to one event loop; starts once and stops once.

    Attributes:
        addresses: Where it listens, with the real ports; empty before :meth:`start`.
        metrics_address: Where its metrics are; None without such a port, and before :meth:`start`.
        screener: Decides; its ``load`` says what waits and what was counted.
        outlasted: True if threads were at work when it had stopped: Python waits for them before a process ends.
    """

    def __init__(self, engine: Engine, settings: Settings, files: Files | None = None) -> None:
        """Prepare a server.

        Args:
            engine: Decides, until something is loaded again.
            settings: How to run.
            files: Where the engine came from; those of the settings, as they are now, if not given.

        Raises:
            InvalidInput: A file of tokens, certificates or a key cannot be used.
            Unavailable: The decision log cannot be written.
        """
        files = files or Files.of(settings)
        self.addresses: tuple[Address, ...] = ()
        self.metrics_address: Address | None = None
        self.outlasted = False
        self._settings = settings
        self._access = Access(settings)
        self._live = Live(engine, lambda old: _log.info("no call uses model %s any more", old.artifact.identity))
        self._metrics = Metrics(self._state)
        self._decision_log = open_log(settings)
        observer = Observer(self._metrics, self._decision_log)
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="prepare")
        self._batcher = Batcher(
            workers=settings.workers,
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.max_queue_tokens,
            batching=settings.batching,
            observe=self._metrics.batch,
        )
        cache = ScoreCache(settings.cache_entries) if settings.cache_entries else None
        self._asking = ThreadPoolExecutor(_MOST_ASKED, thread_name_prefix="ask")
        self.screener = Screener(
            self._batcher, self._pool, cache=cache, timeout=settings.request_timeout, asking=self._asking
        )
        self._servicer = GuardServicer(
            self._live,
            self.screener,
            observer,
            max_message_bytes=settings.max_message_bytes,
            max_streams=settings.max_streams,
            stream_timeout=settings.stream_timeout,
            open_timeout=settings.request_timeout,
        )
        self._reloader = Reloader(
            (
                policy_source(self._live, files.policy, files.policy_watch),
                model_source(
                    self._live,
                    files.model,
                    files.model_watch,
                    threads=settings.threads,
                    max_tokens=settings.max_tokens,
                ),
                *self._access.sources,
            ),
            self._metrics.reloaded,
        )
        self._watching: asyncio.Task[None] | None = None
        self._metrics_port: MetricsPort | None = None
        self._locks: list[SocketLock] = []
        self._serving = False
        self._health = Health((SERVICE,))
        self._server = grpc.aio.server(
            interceptors=self._access.interceptors(observer),
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes * _TRANSPORT_HEADROOM),
                ("grpc.max_send_message_length", -1),
                # A caller whose machine vanished says no goodbye; its streams end when it no longer answers a ping.
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
            ],
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
                if address.path:
                    self._locks.append(SocketLock(address, int(self._settings.socket_mode, 8)))
            self._open_metrics()
            self.addresses = tuple(self._bind(address) for address in self._settings.addresses)
        except Unavailable:
            await self._end(time.monotonic())
            raise
        await self._server.start()
        await self._health.serving()
        self._serving = True
        if self._settings.watch:
            self._watching = asyncio.ensure_future(self._reloader.run(self._settings.watch))

    async def reload(self) -> None:
        """Load policies, model, tokens and certificates again.

        What is broken is logged and counted, and what was loaded before stays.
        """
        await self._reloader.reload()

    async def stop(self) -> None:
        """Tell health NOT_SERVING, refuse new calls, let those in flight finish within the grace, and end."""
        self._serving = False
        await self._health.not_serving()
        # gRPC may leave a call unanswered that comes in the moment in which it stops, for as long as another is in
        # flight: so calls are refused here, and it stops when none is.
        self._servicer.drain()
        until = time.monotonic() + self._settings.grace
        with suppress(TimeoutError):
            await asyncio.wait_for(self._servicer.idle(), self._settings.grace)
        self._health.end_watches()
        await self._server.stop(max(0.0, until - time.monotonic()))
        await self._end(until)

    def _bind(self, address: Address) -> Address:
        try:
            port = self._access.bind(self._server, address)
        except (RuntimeError, OSError):
            # Free a moment ago: somebody else was faster.
            raise Unavailable(f"{address} cannot be listened at (give --listen another address)") from None
        return address.with_port(port)

    def _open_metrics(self) -> None:
        if self._settings.metrics is not None:
            address = Address.parse(self._settings.metrics, "metrics")
            self._metrics_port = MetricsPort(address, self._metrics.registry, lambda: self._serving)
            self.metrics_address = self._metrics_port.address

    def _state(self) -> ServerState:
        log = self._decision_log
        return ServerState(
            info=self._live.engine.info(),
            in_flight=self._servicer.in_flight,
            streams=self._servicer.streams,
            load=self.screener.load,
            log_written=None if log is None else log.written,
            log_dropped=0 if log is None else log.dropped,
        )

    async def _end(self, until: float) -> None:
        """End everything at once; what is at work has until then, on the clock of :func:`time.monotonic`."""
        self.outlasted = self._reloader.busy
        if self._watching is not None:
            self._watching.cancel()
        await self._server.stop(None)
        # Nothing is decided any more. Before all that may take its time: whoever waits for the end may lose patience.
        if self._decision_log is not None:
            await asyncio.to_thread(self._decision_log.close, _FLUSH)
        # A text that is at work cannot be stopped, only left alone: in a thread that nothing waits for.
        shutting = Thread(target=self._shut_threads, name="shut", daemon=True)
        shutting.start()
        await asyncio.to_thread(shutting.join, max(_LEAST_PATIENCE, until - time.monotonic()))
        self.outlasted |= shutting.is_alive()
        if self._metrics_port is not None:
            await asyncio.to_thread(self._metrics_port.close)
        for lock in self._locks:
            lock.release()

    def _shut_threads(self) -> None:
        self._batcher.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._asking.shutdown(wait=True, cancel_futures=True)
