from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import InvalidInput
from guard.server.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GUARD_{name.upper()}", raising=False)


def test_defaults_need_nothing() -> None:
    """Without options a sidecar listens on the loopback interface with the bundled model and policy."""
    settings = Settings.load()
    assert settings.listen == ("127.0.0.1:50061",)
    assert settings.model is None
    assert settings.policy is None
    assert settings.workers >= 1


def test_every_option_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """GUARD_ and the option's name set every option; several addresses are separated by commas."""
    given = {
        "LISTEN": "127.0.0.1:0, unix:/tmp/g.sock",
        "POLICY": "p.yaml",
        "MODEL": "m",
        "WORKERS": "3",
        "THREADS": "2",
        "MAX_TOKENS": "99",
        "BATCHING": "false",
        "MAX_BATCH_TOKENS": "256",
        "MAX_QUEUE_TOKENS": "4096",
        "REQUEST_TIMEOUT": "2.5",
        "CACHE_ENTRIES": "0",
        "MAX_MESSAGE_BYTES": "2048",
        "GRACE": "1.5",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "json",
    }
    assert {name.lower() for name in given} == set(Settings.model_fields)
    for name, value in given.items():
        monkeypatch.setenv(f"GUARD_{name}", value)
    assert Settings.load().model_dump() == {
        "listen": ("127.0.0.1:0", "unix:/tmp/g.sock"),
        "policy": "p.yaml",
        "model": Path("m"),
        "workers": 3,
        "threads": 2,
        "max_tokens": 99,
        "batching": False,
        "max_batch_tokens": 256,
        "max_queue_tokens": 4096,
        "request_timeout": 2.5,
        "cache_entries": 0,
        "max_message_bytes": 2048,
        "grace": 1.5,
        "log_level": "debug",
        "log_format": "json",
    }


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that is given beats its environment variable; None means not given."""
    monkeypatch.setenv("GUARD_WORKERS", "3")
    monkeypatch.setenv("GUARD_GRACE", "7")
    settings = Settings.load(workers=5, grace=None, listen=())
    assert (settings.workers, settings.grace) == (5, 7)
    assert settings.listen == ("127.0.0.1:50061",)


def test_every_broken_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several broken options are told in one error, those of the environment too."""
    monkeypatch.setenv("GUARD_GRACE", "soon")
    monkeypatch.setenv("GUARD_LISTEN", "127.0.0.1:0, nowhere")
    with pytest.raises(InvalidInput) as caught:
        Settings.load(workers=0)
    assert {violation.field for violation in caught.value.violations} == {"workers", "grace", "listen"}
    assert "listen: no address: 'nowhere' (HOST:PORT, [IPV6]:PORT or unix:PATH)" in str(caught.value)


@pytest.mark.parametrize("address", ["localhost", ":50061", "127.0.0.1:65536", "::1:50061", "unix:", "127.0.0.1:x"])
def test_broken_address_is_refused(address: str) -> None:
    """What is no address is a broken option, not a failure to listen."""
    with pytest.raises(InvalidInput) as caught:
        Settings.load(listen=("127.0.0.1:0", address))
    assert [violation.field for violation in caught.value.violations] == ["listen"]


def test_address_given_twice_is_refused() -> None:
    """The same address twice is a mistake; port 0 twice is two free ports."""
    with pytest.raises(InvalidInput, match="given twice"):
        Settings.load(listen=("127.0.0.1:50061", "127.0.0.1:50061"))
    assert len(Settings.load(listen=("127.0.0.1:0", "127.0.0.1:0")).addresses) == 2
