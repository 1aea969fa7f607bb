"""A language model of the operator's that rewrites a text; asked only where a policy says so. Standard library alone.

It speaks the chat completions of the OpenAI API, which most servers offer. What it answers is no more than a proposal:
it is screened like any text, and where there is none the next harder operator takes its place. The key comes from an
environment variable and never stands in a file; redirects are not followed, so it goes to no other host.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

#: How a model is asked unless the policy says otherwise.
DEFAULT_PROMPT = (
    "Rewrite the text between the lines so that nothing of this kind is left in it: {categories}. Keep its language "
    "({language}), its meaning and everything else as it is. Leave out what cannot be kept. Answer with the rewritten "
    "text alone, without a remark.\n---\n{text}\n---"
)

# An answer of more bytes is no rewriting of a text that may be screened.
_MOST_BYTES = 4 * 1024 * 1024
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a policy's model is, and how it is asked.

    Attributes:
        base_url: Up to and without ``/chat/completions``.
        model: Its name there.
        prompt: What it is told; ``{text}``, ``{language}`` and ``{categories}`` are filled in.
        timeout: Seconds for the whole call.
        max_tokens: Of the answer; one that is cut off is none.
        key_env: The environment variable with the key; None for none.
    """

    base_url: str
    model: str
    prompt: str = DEFAULT_PROMPT
    timeout: float = 10.0
    max_tokens: int = 1024
    key_env: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A text to be rewritten, and by whom."""

    endpoint: Endpoint
    text: str
    language: str
    categories: tuple[str, ...]


#: Has a text rewritten in the caller's thread; raises :class:`NoAnswer`.
Rewriter: TypeAlias = Callable[[Ask], str]


class NoAnswer(Exception):
    """The model did not answer, or not with a text. Its message says why, without the text and without the key."""


def rewrite_by_llm(ask: Ask) -> str:
    """The text as the model rewrote it. Blocks up to the endpoint's timeout.

    Raises:
        NoAnswer: No key, no connection, no answer in time, an error, or an answer that is cut off or empty.
    """
    until = time.monotonic() + ask.endpoint.timeout
    try:
        return _text_of(_post(ask, until))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(type(error).__name__) from None


def _post(ask: Ask, until: float) -> bytes:
    endpoint = ask.endpoint
    url = urlsplit(endpoint.base_url)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if endpoint.key_env is not None:
        key = os.environ.get(endpoint.key_env, "").strip()
        if not key:
            raise NoAnswer(f"no key in {endpoint.key_env} (set it where the guard is started)")
        headers["Authorization"] = f"Bearer {key}"
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": _prompt(ask)}],
        "max_tokens": endpoint.max_tokens,
        "temperature": 0,
    }
    connection = _connection(url.scheme, url.hostname or "", url.port, endpoint.timeout)
    try:
        connection.request("POST", f"{url.path.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        return _read(connection, until)
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout)


def _read(connection: http.client.HTTPConnection, until: float) -> bytes:
    """The answer's body; the time of all its pieces together is bounded, not that of each."""
    sock = connection.sock
    sock.settimeout(_left(until))
    with connection.getresponse() as response:
        if response.status != http.client.OK:
            raise NoAnswer(f"status {response.status}")
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(_CHUNK):
            size += len(piece)
            if size > _MOST_BYTES:
                raise NoAnswer("an answer of too many bytes")
            pieces.append(piece)
            if not response.isclosed():
                sock.settimeout(_left(until))
        return b"".join(pieces)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise NoAnswer("no answer in time")
    return left


def _prompt(ask: Ask) -> str:
    languages = {"zh": "Chinese", "en": "English"}
    prompt = ask.endpoint.prompt.replace("{language}", languages.get(ask.language, "as it is"))
    # The text last: what looks like a placeholder in it is text.
    return prompt.replace("{categories}", ", ".join(ask.categories)).replace("{text}", ask.text)


def _text_of(body: bytes) -> str:
    """The first choice's text; only a complete one."""
    answer = json.loads(body)
    try:
        choice = answer["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise NoAnswer("an answer in another form") from None
    if reason not in {None, "stop"}:
        raise NoAnswer("an answer that is cut off")
    if not isinstance(text, str) or not text.strip():
        raise NoAnswer("an empty answer")
    text.encode()  # a lone surrogate is a ValueError
    return text.strip()
