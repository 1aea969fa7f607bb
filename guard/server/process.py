"""The process of a sidecar: it loads, listens, says so, and answers until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from guard.engine import Engine
from guard.server.app import Files, GuardServer, load_engine
from guard.server.heap import set_aside
from guard.server.logs import configure_logs
from guard.server.settings import Settings
from guard.server.signals import release_reload

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Load, warm up, listen, print one ready line per address, and answer until SIGTERM or SIGINT.

    Raises:
        InvalidInput: There is no such policy, or a file of tokens, certificates or a key cannot be used.
        ArtifactError: The model directory cannot be used.
        PolicyError: A policy has mistakes.
        Unavailable: An address is in use or cannot be listened at, or the decision log cannot be written.
    """
    configure_logs(settings.log_level, settings.log_format)
    files = Files.of(settings)
    engine = load_engine(files, settings)
    set_aside()
    asyncio.run(_serve(engine, settings, files))


async def _serve(engine: Engine, settings: Settings, files: Files) -> None:
    asked_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_end.set)
    server = GuardServer(engine, settings, files)
    await server.start()
    asked_to_reload = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, asked_to_reload.set)
    release_reload()
    reloading = loop.create_task(_reload(server, asked_to_reload))
    if server.metrics_address is not None:
        _log.info("metrics on http://%s/metrics", server.metrics_address)
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
    reloading.cancel()
    _log.info("stopped")
    if server.outlasted:
        # The grace is over: nothing that matters is left but what cannot be stopped.
        sys.stdout.flush()
        os._exit(0)


async def _reload(server: GuardServer, asked: asyncio.Event) -> None:
    """Load again whenever that was asked for; what is asked while it loads, however often, makes one more load."""
    while True:
        await asked.wait()
        asked.clear()
        await server.reload()


def _loaded(engine: Engine) -> str:
    info = engine.info()
    policies = ", ".join(f"{policy.name}@{policy.revision}" for policy in info.policies)
    return f"model {info.model.name}@{info.model.revision}, policies {policies}"
