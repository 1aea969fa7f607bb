"""Standard health (grpc.health.v1) that can end: watches do not keep a draining server from stopping."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

_Context: TypeAlias = "grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"


class Health(health_pb2_grpc.HealthServicer):
    """Health of the whole server (the empty name) and of its services. Belongs to one event loop.

    A watch is a call without an end. ``server.stop`` would wait for it until the grace is over, so the watches
    are ended here once every watcher was told.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        self._inner = health.aio.HealthServicer()
        self._services = services
        self._watches: set[asyncio.Future[None]] = set()

    def register(self, server: grpc.aio.Server) -> None:
        """Serve health on a server that has not started yet."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    async def serving(self) -> None:
        """Answer SERVING from now on."""
        for service in ("", *self._services):
            await self._inner.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def not_serving(self) -> None:
        """Answer NOT_SERVING from now on, for good."""
        await self._inner.enter_graceful_shutdown()

    def end_watches(self) -> None:
        """End every watch that is open."""
        for watch in self._watches:
            watch.cancel()

    async def Check(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> health_pb2.HealthCheckResponse:
        """The rpc of this name."""
        return await self._inner.Check(request, context)

    async def Watch(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> None:
        """The rpc of this name, until the caller leaves or :meth:`end_watches`."""
        watch = asyncio.ensure_future(self._inner.Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait({watch})
        finally:
            watch.cancel()
            self._watches.discard(watch)
