"""A real Chromium without a window, driven over its DevTools pipe: pages are opened, and keys pressed, as people do.

The protocol is JSON between NUL bytes on the browser's file descriptors 3 and 4
(https://chromedevtools.github.io/devtools-protocol/), so no driver has to be installed beside the browser.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: What a Chromium may be called; .ci/browser looks for the same.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_FLAGS = (
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-extensions", "--hide-scrollbars",
)  # fmt: skip
#: A browser that has not answered by then hangs.
_PATIENCE = 120.0
#: Name -> code and what it types, for the keys that are pressed here.
_KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "ArrowRight": (39, ""), "ArrowLeft": (37, ""),
         "Home": (36, ""), "End": (35, "")}  # fmt: skip


def find_browser() -> str:
    """The path of a Chromium; without one the test fails, and is skipped only where none can be installed."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is not None:
        return found
    if os.environ.get("CI") or (os.geteuid() == 0 and shutil.which("apt-get")):
        pytest.fail("no Chromium, which .ci/browser installs")
    pytest.skip("no Chromium here, and no right to install one (apt-get install chromium)")


class Page:
    """One page in a browser.

    Attributes:
        requests: The address of everything that it asked for.
        complaints: Errors and warnings on its console, and exceptions.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._browser = browser
        self._session = session
        self._loaded = False

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer."""
        return self._browser.call(method, self._session, **parameters)

    def open(self, file: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file, in a window of a size, without a network."""
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")
        self.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=file.resolve().as_uri())
        self._browser.wait(lambda: self._loaded)
        self.settle()

    def resize(self, width: int, height: int) -> None:
        """Give the window a size."""
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def settle(self) -> None:
        """Wait until what was asked for is drawn and said."""
        self.evaluate(
            "new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 400))"
        )

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in JavaScript, awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element shows."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent"))

    def focus(self, selector: str) -> None:
        """Put the keyboard's focus on an element."""
        found = self.evaluate(
            f"(e => (e.focus(), document.activeElement === e))(document.querySelector({json.dumps(selector)}))"
        )
        assert found, f"{selector} takes no focus"

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        code, text = _KEYS[key]
        same = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **same)
        self.call("Input.dispatchKeyEvent", type="keyUp", **same)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def take(self, event: dict[str, Any]) -> None:
        """Note an event of the protocol."""
        method, about = event["method"], event["params"]
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Log.entryAdded" and about["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(about["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and about["type"] in {"error", "warning", "assert"}:
            self.complaints.append(str(about["args"]))
        elif method == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.complaints.append(details.get("exception", details).get("description", details["text"]))


class Browser:
    """A running Chromium. Not thread-safe; made by :func:`browser`."""

    def __init__(self, to: int, from_: int) -> None:
        self._to = to
        self._from = from_
        self._rest = b""
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._pages: dict[str, Page] = {}

    def page(self) -> Page:
        """A new, empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        self.wait(lambda: number in self._answers)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, condition: Callable[[], bool]) -> None:
        """Read what the browser says until a condition holds."""
        latest = time.monotonic() + _PATIENCE
        while not condition():
            ready, _, _ = select.select([self._from], [], [], max(0.0, latest - time.monotonic()))
            assert ready, f"the browser has not answered for {_PATIENCE:g} s"
            read = os.read(self._from, 1 << 20)
            assert read, "the browser has ended"
            *messages, self._rest = (self._rest + read).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers[message["id"]] = message
                elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
                    page.take(message)


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """A Chromium with its profile in a directory; it ends with the context."""
    command = [find_browser(), *_FLAGS, f"--user-data-dir={directory}"]
    its_in, to = os.pipe()
    from_, its_out = os.pipe()
    # Numbers that neither of its two descriptors covers before both are in place.
    high_in, high_out = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (its_in, its_out))
    os.close(its_in)
    os.close(its_out)
    redirected = ["bash", "-c", f'exec "$@" 3<&{high_in} 4>&{high_out}', "bash", *command]
    with subprocess.Popen(
        redirected, pass_fds=(high_in, high_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(high_in)
        os.close(high_out)
        try:
            yield Browser(to, from_)
        finally:
            process.terminate()
            process.wait()
            os.close(to)
            os.close(from_)
