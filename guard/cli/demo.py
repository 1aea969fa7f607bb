"""``guard demo``: start a sidecar on a free port, screen real texts over gRPC, show what it decided."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import typer
from rich.text import Text

from guard.cli.demo_chat import CHAT, chat_view
from guard.cli.demo_texts import DEMO_TEXTS, DemoText
from guard.cli.options import ModelOption
from guard.cli.output import shortened, show, styled, table, top_score, write_line
from guard.errors import Unavailable
from guard.types import Decision

_READY = "guard ready on "
_START_SECONDS = 120.0
_STOP_SECONDS = 20.0
_TEXT_CELLS = 46


def demo(model: ModelOption = None) -> None:
    """Start a sidecar, screen some texts over gRPC, stop it.

    Exit codes: 0 every text was decided as expected, 1 some were not, 3 the sidecar did not start.
    """
    # Imported here: the other commands start without it.
    from guard.sdk.client import GuardClient

    with _sidecar(model) as address, GuardClient(address) as client:
        loaded = client.info()
        default = next(policy for policy in loaded.policies if policy.default)
        write_line(f"sidecar on {address}, model {loaded.model.name}@{loaded.model.revision}, policy {default.name}")
        rows, met = [], 0
        for text in DEMO_TEXTS:
            began = time.perf_counter()
            decision = client.screen(text.text, direction=text.direction, context=text.context)
            rows.append(_row(text, decision, (time.perf_counter() - began) * 1000))
            met += decision.action is text.expected
        chat = []
        for turn in CHAT:
            decision = client.screen(turn.answer, direction="output", context=turn.question)
            chat.append((turn, decision))
            met += decision.action is turn.expected
    columns = ("direction", "text", "action", "expected", "top category", "score", "ms")
    show(table(columns, rows, shrinks="text", right=("score", "ms")))
    show(chat_view(chat))
    write_line(f"{met} of {len(DEMO_TEXTS) + len(CHAT)} as expected; the sidecar has stopped")
    if met != len(DEMO_TEXTS) + len(CHAT):
        raise typer.Exit(1)


def _row(text: DemoText, decision: Decision, milliseconds: float) -> Sequence[str | Text]:
    as_expected = decision.action is text.expected
    mark = Text(f"{'✓' if as_expected else '✗'} {text.expected.value}", style="dim" if as_expected else "bold red")
    category, score = top_score(decision.scores)
    found = max(decision.rules, key=lambda rule: (rule.action.strength, rule.score), default=None)
    if found is not None and not found.shadow:
        category, score = found.category, found.score
    return (
        text.direction.value,
        Text(shortened(text.text, _TEXT_CELLS)),
        styled(decision.action),
        mark,
        category,
        f"{score:.3f}",
        f"{milliseconds:.1f}",
    )


@contextmanager
def _sidecar(model: Path | None) -> Iterator[str]:
    """A sidecar in a process of its own, ready to answer; stopped as an orchestrator would, by SIGTERM.

    Raises:
        Unavailable: It ended, or did not become ready in time.
    """
    command = [sys.executable, "-m", "guard", "serve", "--listen", "127.0.0.1:0"]
    if model is not None:
        command += ["--model", str(model)]
    # The demonstration is of what ships: settings of this environment stay out of it.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    process = subprocess.Popen([*command, "--log-level", "error"], stdout=subprocess.PIPE, text=True, env=clean)
    try:
        yield _ready_address(process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _ready_address(process: subprocess.Popen[str]) -> str:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            line = lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise Unavailable(f"the sidecar was not ready within {_START_SECONDS:.0f} s (see above)") from None
        if not line:
            raise Unavailable("the sidecar ended before it was ready (see above)")
        if line.startswith(_READY):
            return line.removeprefix(_READY).split()[0]


def _pass_on(stream: IO[str] | None, lines: queue.SimpleQueue[str]) -> None:
    """Lines from a pipe into a queue, which can be waited for with a limit; an empty string is the end."""
    for line in stream or ():
        lines.put(line)
    lines.put("")
