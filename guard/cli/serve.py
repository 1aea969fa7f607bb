"""``guard serve``: the sidecar. Every option is also an environment variable ``GUARD_<NAME>``; options win."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.types import DEFAULT_ADDRESS, MAX_BATCH_TOKENS, MAX_MESSAGE_BYTES, MAX_QUEUE_TOKENS


def serve(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT|unix:PATH",
            help="Where to listen; may be repeated. Port 0 takes a free one.  [GUARD_LISTEN, separated by commas]",
            show_default=DEFAULT_ADDRESS,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR|NAME",
            help="A policy file, a directory of them, or the name of one that ships.  [GUARD_POLICY]",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An artifact directory instead of the bundled model.  [GUARD_MODEL]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs of the model at once.  [GUARD_WORKERS]", show_default="one a core")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads inside one operator of the model.  [GUARD_THREADS]", show_default="1")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Limit on the tokens of one text.  [GUARD_MAX_TOKENS]", show_default="the model's"),
    ] = None,
    batching: Annotated[
        bool | None,
        typer.Option(
            "--batching/--no-batching",
            help="Let texts of like length share a run where the model allows it.  [GUARD_BATCHING]",
            show_default="on",
        ),
    ] = None,
    max_batch_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens of one run, padding included.  [GUARD_MAX_BATCH_TOKENS]", show_default=str(MAX_BATCH_TOKENS)
        ),
    ] = None,
    max_queue_tokens: Annotated[
        int | None,
        typer.Option(
            help="Tokens that may wait; above, calls are refused.  [GUARD_MAX_QUEUE_TOKENS]",
            show_default=str(MAX_QUEUE_TOKENS),
        ),
    ] = None,
    request_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds for a call that brings no deadline.  [GUARD_REQUEST_TIMEOUT]", show_default="10"),
    ] = None,
    cache_entries: Annotated[
        int | None,
        typer.Option(help="Texts whose scores are remembered; 0 for none.  [GUARD_CACHE_ENTRIES]", show_default="1024"),
    ] = None,
    max_message_bytes: Annotated[
        int | None,
        typer.Option(help="Most bytes of one request.  [GUARD_MAX_MESSAGE_BYTES]", show_default=str(MAX_MESSAGE_BYTES)),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(help="Seconds that requests in flight may take after SIGTERM.  [GUARD_GRACE]", show_default="10"),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(help="debug, info, warning or error.  [GUARD_LOG_LEVEL]", show_default="info"),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="text or json, one line an event.  [GUARD_LOG_FORMAT]", show_default="text")
    ] = None,
) -> None:
    """Serve the guard over gRPC until SIGTERM.

    Health and reflection come with it. As soon as it answers it prints `guard ready on ADDRESS`,
    one line an address.
    """
    # Imported here: the other commands start without the server's weight.
    from guard.server.app import serve as run_server
    from guard.server.settings import Settings

    run_server(
        Settings.load(
            listen=tuple(listen or ()),
            policy=policy,
            model=model,
            workers=workers,
            threads=threads,
            max_tokens=max_tokens,
            batching=batching,
            max_batch_tokens=max_batch_tokens,
            max_queue_tokens=max_queue_tokens,
            request_timeout=request_timeout,
            cache_entries=cache_entries,
            max_message_bytes=max_message_bytes,
            grace=grace,
            log_level=log_level,
            log_format=log_format,
        )
    )
