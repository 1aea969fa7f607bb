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
        list[str] | None,
        typer.Option(
            metavar="FILE|DIR|NAME",
            help="A policy file, a directory for several, or the name of one that ships.  [GUARD_POLICY]",
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
        typer.Option(
            help="Limit on the tokens of one text; a core reads about 8000 a second.  [GUARD_MAX_TOKENS]",
            show_default="the model's",
        ),
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
    max_streams: Annotated[
        int | None, typer.Option(help="Streams that may be open at once.  [GUARD_MAX_STREAMS]", show_default="1000")
    ] = None,
    stream_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds that a stream may take in all.  [GUARD_STREAM_TIMEOUT]", show_default="3600"),
    ] = None,
    watch: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two looks at policies, model, certificates and tokens; 0 is never.  [GUARD_WATCH]",
            show_default="1",
        ),
    ] = None,
    socket_mode: Annotated[
        str | None,
        typer.Option(metavar="OCTAL", help="File mode of unix sockets.  [GUARD_SOCKET_MODE]", show_default="600"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Bearer tokens that callers need, one a line.  [GUARD_TOKEN_FILE]"),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate chain in PEM: HOST:PORT speaks TLS.  [GUARD_TLS_CERT]"),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its private key in PEM.  [GUARD_TLS_KEY]")
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Authorities in PEM: clients need a certificate of theirs.  [GUARD_TLS_CLIENT_CA]"
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="/metrics, /healthz and /readyz over HTTP.  [GUARD_METRICS]"),
    ] = None,
    decision_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A record of every decision; - is standard output.  [GUARD_DECISION_LOG]"),
    ] = None,
    decision_log_text: Annotated[
        bool | None,
        typer.Option("--decision-log-text", help="Records carry the texts, too.  [GUARD_DECISION_LOG_TEXT]"),
    ] = None,
    decision_log_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Key that texts are named with; or GUARD_DECISION_LOG_KEY.  [GUARD_DECISION_LOG_KEY_FILE]",
        ),
    ] = None,
    decision_log_max_bytes: Annotated[
        int | None,
        typer.Option(help="Size at which it is rotated.  [GUARD_DECISION_LOG_MAX_BYTES]", show_default="104857600"),
    ] = None,
    decision_log_files: Annotated[
        int | None, typer.Option(help="Files kept in all.  [GUARD_DECISION_LOG_FILES]", show_default="5")
    ] = None,
    decision_log_buffer: Annotated[
        int | None,
        typer.Option(help="Records that may wait to be written.  [GUARD_DECISION_LOG_BUFFER]", show_default="10000"),
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
    one line an address. SIGHUP loads policies, model, certificates and tokens again; so does a change of
    their files.
    """
    # Imported here: the other commands start without the server's weight.
    from guard.server.process import serve as run_server
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
            max_streams=max_streams,
            stream_timeout=stream_timeout,
            watch=watch,
            socket_mode=socket_mode,
            token_file=token_file,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            metrics=metrics,
            decision_log=decision_log,
            decision_log_text=decision_log_text,
            decision_log_key_file=decision_log_key_file,
            decision_log_max_bytes=decision_log_max_bytes,
            decision_log_files=decision_log_files,
            decision_log_buffer=decision_log_buffer,
            log_level=log_level,
            log_format=log_format,
        )
    )
