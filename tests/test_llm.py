"""A language model that rewrites: asked where a policy says so, believed only after a screening. A real HTTP server."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from guard.classifier.classifier import Classifier
from guard.engine import Engine
from guard.llm import Ask, Endpoint, NoAnswer, rewrite_by_llm
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.sdk.client import GuardClient
from guard.sdk.local import Guard
from guard.types import Action, Content, Decision, Direction, Operator
from tests.serving import sidecar

_TEXT = "Hello world, call 13800138000. The hateword. How is my linux process?"
_DROPPED = "Hello world, call ***********. How is my linux process?"
_KEY = "sk-test-of-this-file"


@dataclass
class _Model:
    """A language model of the test's own: what it was asked, and how it answers."""

    answer: Callable[[dict[str, object]], tuple[int, bytes]]
    port: int = 0
    asked: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def _says(text: object, reason: str | None = "stop") -> Callable[[dict[str, object]], tuple[int, bytes]]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return lambda _: (200, json.dumps({"choices": [choice]}).encode())


@contextmanager
def _serving(answer: Callable[[dict[str, object]], tuple[int, bytes]]) -> Iterator[_Model]:
    model = _Model(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.asked.append({"path": self.path, **body})
            model.headers.append(dict(self.headers))
            status, raw = model.answer(body)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{model.url}/elsewhere")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            with suppress(ConnectionError):  # a client may leave in the middle
                self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _policy(url: str, more: str = "", timeout: float = 20) -> str:
    return f"""\
version: 1
name: default
message: {{en: policy words, zh: 政策的话}}
llm: {{base_url: "{url}", model: small, timeout: {timeout}, key_env: TEST_OF_LLM_KEY{more}}}
rules:
  - {{id: hate, category: hate, threshold: 0.5, action: rewrite, rewrite: llm}}
  - {{id: weapons, category: weapons, threshold: 0.5, action: block}}
  - {{id: pii, category: pii, threshold: 0.5, action: rewrite, rewrite: mask}}
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_OF_LLM_KEY", _KEY)


def _screen(classifier: Classifier, model: _Model, more: str = "", timeout: float = 20) -> Decision:
    policies = PolicyStore([parse_policy(_policy(model.url, more, timeout), "p.yaml")])
    return Engine(classifier, policies, rewrite_by_llm).screen(Content(_TEXT, Direction.OUTPUT))


def test_a_model_rewrites_and_is_screened(tiny_classifier: Classifier) -> None:
    """What the model answers passes if the policy allows it; it was asked as the policy says, without personal data."""
    with _serving(_says("Hello world, call us. How is it?\n")) as model:
        decision = _screen(tiny_classifier, model, more=', prompt: "[{language}|{categories}|{text}]", max_tokens: 77')
    assert (decision.action, decision.output_text) == (Action.REWRITE, "Hello world, call us. How is it?")
    (done,) = decision.rewrites
    assert (done.operator, done.span.start, done.span.end) == (Operator.LLM, 0, len(_TEXT))
    (asked,) = model.asked
    hidden = _TEXT.replace("13800138000", "*" * 11)
    assert asked["messages"] == [{"role": "user", "content": f"[English|hate, pii.phone|{hidden}]"}]
    assert (asked["path"], asked["model"], asked["max_tokens"]) == ("/v1/chat/completions", "small", 77)
    assert model.headers[0]["Authorization"] == f"Bearer {_KEY}"


@pytest.mark.parametrize(
    "answer",
    [
        _says("Still the hateword."),
        _says("The bomb."),
        _says(""),
        _says(None),
        _says("Hello", "length"),
        _says("\ud800"),
        lambda _: (500, b"broken"),
        lambda _: (302, b""),
        lambda _: (200, b"{"),
        lambda _: (200, b'{"choices": []}'),
        lambda _: (200, b'["' + b"a" * (5 << 20) + b'"]'),
    ],
)
def test_what_does_not_help_is_rewritten_harder(
    tiny_classifier: Classifier, answer: Callable[[dict[str, object]], tuple[int, bytes]]
) -> None:
    """An answer that the policy does not allow, or none, is no answer: the sentence goes. The model is asked once."""
    with _serving(answer) as model:
        decision = _screen(tiny_classifier, model)
    assert (decision.action, decision.output_text) == (Action.REWRITE, _DROPPED)
    assert [done.operator for done in decision.rewrites] == [Operator.MASK, Operator.DROP_SENTENCE]
    assert len(model.asked) == 1 and not decision.degraded


def test_a_slow_model_is_not_waited_for(tiny_classifier: Classifier) -> None:
    """After the timeout the next harder operator decides."""
    over = threading.Event()

    def slow(_: dict[str, object]) -> tuple[int, bytes]:
        over.wait(20)
        return _says("Hello.")(_)

    with _serving(slow) as model:
        decision = _screen(tiny_classifier, model, timeout=0.2).output_text
        over.set()
    assert decision == _DROPPED


def test_nobody_there_and_no_key(
    tiny_classifier: Classifier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a server or a key nothing is rewritten by a model; the log says why, without the text."""
    with caplog.at_level(logging.WARNING):
        assert _screen(tiny_classifier, _Model(_says("x"), port=9)).output_text == _DROPPED
        monkeypatch.delenv("TEST_OF_LLM_KEY")
        assert _screen(tiny_classifier, _Model(_says("x"), port=9)).output_text == _DROPPED
    assert "no key in TEST_OF_LLM_KEY" in caplog.text and "ConnectionRefusedError" in caplog.text
    assert "hateword" not in caplog.text and "13800138000" not in caplog.text


def test_an_engine_without_a_rewriter_asks_nobody(tiny_classifier: Classifier) -> None:
    """Only what a server or a Guard composes asks a model."""
    with _serving(_says("Hello.")) as model:
        engine = Engine(tiny_classifier, PolicyStore([parse_policy(_policy(model.url), "p.yaml")]))
        assert engine.screen(Content(_TEXT, Direction.OUTPUT)).output_text == _DROPPED
    assert model.asked == []


def test_what_looks_like_a_placeholder_is_text() -> None:
    """The prompt is filled in once: a text cannot ask for the categories."""
    with _serving(_says("fine")) as model:
        endpoint = Endpoint(model.url, "small", prompt="{categories}: {text}")
        assert rewrite_by_llm(Ask(endpoint, "{categories} {text} {language}", "zh", ("hate",))) == "fine"
    assert model.asked[0]["messages"] == [{"role": "user", "content": "hate: {categories} {text} {language}"}]
    assert "Authorization" not in model.headers[0]


def test_a_guard_and_a_sidecar_ask(tiny_model_dir: Path, tmp_path: Path) -> None:
    """In process and in a server; the server goes on answering others while it waits."""
    waiting, free = threading.Event(), threading.Event()

    def slow(body: dict[str, object]) -> tuple[int, bytes]:
        waiting.set()
        free.wait(20)
        return _says("Hello world.")(body)

    with _serving(slow) as model:
        file = tmp_path / "default.yaml"
        file.write_text(_policy(model.url).replace(", key_env: TEST_OF_LLM_KEY", ""), encoding="utf-8")
        with sidecar(tiny_model_dir, file, workers=1) as server, GuardClient(server.address) as client:
            found: list[Decision] = []
            asking = threading.Thread(target=lambda: found.append(client.screen(_TEXT, "output")))
            asking.start()
            assert waiting.wait(20)
            assert client.screen("Hello", "output").allowed and not found
            free.set()
            asking.join(20)
            assert found[0].output_text == "Hello world."
            assert [done.operator for done in found[0].rewrites] == [Operator.LLM]
        assert Guard(tiny_model_dir, file).screen(_TEXT, "output").output_text == "Hello world."


def test_no_answer_says_why_and_nothing_more() -> None:
    """Errors carry a reason and neither the text nor the key."""
    with _serving(lambda _: (401, b"no")) as model, pytest.raises(NoAnswer, match="status 401") as caught:
        rewrite_by_llm(Ask(Endpoint(model.url, "m", key_env="TEST_OF_LLM_KEY"), "private", "en", ()))
    assert "private" not in str(caught.value) and _KEY not in str(caught.value)
    began = time.monotonic()
    assert time.monotonic() - began < 5
