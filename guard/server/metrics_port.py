"""The port for operators: metrics, and health for whoever cannot ask over gRPC.

Kubernetes probes speak neither TLS nor unix sockets, so readiness is answered here, too. No token is asked for, and
nothing here tells more than counts and names of policies: keep the port inside of the cluster.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from guard.address import Address
from guard.errors import Unavailable, place_of
from guard.server.address import check_free

_log = logging.getLogger(__name__)

# Connections that are open at once, and those that the system lets wait for one.
_OPEN = 32
_WAITING = 128

_TEXT = "text/plain; charset=utf-8"


class MetricsPort:
    """Answers ``/metrics``, ``/healthz`` (the process lives) and ``/readyz`` (it takes requests) over HTTP.

    Answers in threads of its own, so a busy event loop does not hide its figures. Starts at once; :meth:`close` it.

    Attributes:
        address: Where it listens, with the real port.
    """

    def __init__(self, address: Address, registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes a free one.
            registry: What ``/metrics`` shows.
            ready: What ``/readyz`` says.

        Raises:
            Unavailable: The address is in use or cannot be listened at.
        """
        check_free(address, "--metrics")
        try:
            self._server = _server_class(address)((address.host, address.port), _answer(registry, ready))
        except OSError:
            # Free a moment ago: somebody else was faster.
            raise Unavailable(f"{address} cannot be listened at (give --metrics another address)") from None
        self.address = address.with_port(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server_class(address: Address) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        """A thread a connection, and a bound on both: above it the oldest has to go.

        An answer takes milliseconds, so the oldest is one that says nothing, or a byte now and then; nobody who asks
        for something waits for it.
        """

        address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        daemon_threads = True
        request_queue_size = _WAITING

        def __init__(self, *args: Any) -> None:
            self._lock = Lock()
            self._open: dict[socket.socket, None] = {}
            super().__init__(*args)

        def process_request(self, request: Any, client_address: Any) -> None:
            with self._lock:
                if len(self._open) >= _OPEN:
                    oldest = next(iter(self._open))
                    del self._open[oldest]
                    with suppress(OSError):  # it has left by itself
                        oldest.shutdown(socket.SHUT_RDWR)
                self._open[request] = None
            super().process_request(request, client_address)

        def shutdown_request(self, request: Any) -> None:
            with self._lock:
                self._open.pop(request, None)
            super().shutdown_request(request)

        def handle_error(self, request: Any, client_address: Any) -> None:
            error = sys.exception()
            if error is not None and not isinstance(error, OSError):  # which is a caller that left, or was too slow
                _log.error("metrics: a request failed: %s", place_of(error))

    return Server


def _answer(registry: CollectorRegistry, ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        timeout = 10.0  # seconds for a caller that says nothing

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._send(200, kind, encode(registry))
            elif path == "/healthz":
                self._send(200, _TEXT, b"ok\n")
            elif path == "/readyz":
                self._send(200, _TEXT, b"ok\n") if ready() else self._send(503, _TEXT, b"not serving\n")
            else:
                self._send(404, _TEXT, b"/metrics, /healthz or /readyz\n")

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing: probes come every few seconds."""

    return Answer
