"""What a client shows, and what it refuses to send."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from guard import AsyncGuardClient, GuardClient, InvalidInput
from guard.sdk.credentials import Credentials

_TOKEN = "token-of-the-test-1"
_FAR = "guard.example:50061"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A file that may be read."""
    path = tmp_path / "x.pem"
    path.write_text("pem")
    return path


@pytest.mark.parametrize("client", [GuardClient, AsyncGuardClient])
def test_a_token_is_not_sent_where_others_can_read_it(client: Any) -> None:
    """Without TLS a token for another machine is refused before anything is sent, and the message does not show it."""
    with pytest.raises(InvalidInput, match=r"^token: not sent to guard\.example:50061 without TLS") as caught:
        client(_FAR, token=_TOKEN)
    assert _TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("127.0.0.1:1", {}),
        ("127.9.9.9:1", {}),
        ("[::1]:1", {}),
        ("localhost:1", {}),
        ("unix:/run/guard.sock", {}),
        (_FAR, {"tls": True}),
        (_FAR, {"allow_insecure_token": True}),
    ],
)
def test_a_token_is_sent_where_it_is_safe_or_allowed(address: str, options: dict[str, Any]) -> None:
    """This machine, TLS, or the word of the caller: then a token travels."""
    assert Credentials.of(address, token=_TOKEN, **options).metadata() == (("authorization", f"Bearer {_TOKEN}"),)


def test_a_token_is_in_no_representation() -> None:
    """Neither a token nor a key is shown where the credentials are printed."""
    assert _TOKEN not in repr(Credentials.of("localhost:1", token=_TOKEN))
    assert "secret" not in repr(Credentials(key=b"secret"))


def test_a_token_of_a_file_may_be_renewed(tmp_path: Path) -> None:
    """A file is read for every call, so a renewed token counts at once; one that is gone is said."""
    file = tmp_path / "token"
    file.write_text(f"{_TOKEN}\n")
    credentials = Credentials.of("localhost:1", token=file)
    assert credentials.metadata()[0][1] == f"Bearer {_TOKEN}"
    file.write_text(f"# of today\nrenewed\n{_TOKEN}\n")
    assert credentials.metadata()[0][1] == "Bearer renewed"
    file.unlink()
    with pytest.raises(InvalidInput, match=r"^token: .*token cannot be read: No such file"):
        credentials.metadata()


@pytest.mark.parametrize("token", ["", " ", "two words", "zeilen\nende", "pässwort"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """A token has no spaces, no line ends and nothing but ASCII."""
    with pytest.raises(InvalidInput, match=r"^token: empty, or with characters that no token has"):
        Credentials.of("localhost:1", token=token)


def test_the_environment_stands_in_for_what_is_not_given(monkeypatch: pytest.MonkeyPatch, pem: Path) -> None:
    """Every argument has a variable, and what is given wins."""
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.setenv(f"GUARD_CLIENT_{name}", str(pem))
    monkeypatch.setenv("GUARD_CLIENT_TOKEN", _TOKEN)
    found = Credentials.of(_FAR)
    assert found == Credentials(tls=True, ca=b"pem", cert=b"pem", key=b"pem", token=_TOKEN)
    assert Credentials.of(_FAR, token="another").token == "another"
    monkeypatch.setenv("GUARD_CLIENT_TOKEN_FILE", str(pem))
    assert Credentials.of(_FAR).token == pem
    assert Credentials.of("localhost:1", tls=False) == Credentials(token=pem)


def test_the_environments_tls_is_not_for_unix_sockets(monkeypatch: pytest.MonkeyPatch, pem: Path) -> None:
    """A unix socket stays plain where the environment asks for TLS; asked for by the caller it is a mistake."""
    monkeypatch.setenv("GUARD_CLIENT_TLS", "true")
    assert not Credentials.of("unix:/run/g.sock").tls
    assert Credentials.of("localhost:1").tls
    with pytest.raises(InvalidInput, match="tls: a unix socket has no TLS"):
        Credentials.of("unix:/run/g.sock", ca=pem)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cert": "pem"}, "key: missing (give the client's certificate and its key)"),
        ({"key": "pem"}, "cert: missing (give the client's certificate and its key)"),
        ({"ca": "nowhere"}, "ca: nowhere cannot be read: No such file"),
        ({"tls": False, "ca": "pem"}, "tls: switched off beside certificates"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, Any], said: str, pem: Path) -> None:
    """Half a pair, a file that is missing, and a contradiction are mistakes before a connection is made."""
    given: dict[str, Any] = {name: pem if value == "pem" else value for name, value in options.items()}
    with pytest.raises(InvalidInput) as caught:
        Credentials.of("localhost:1", **given)
    assert said in str(caught.value)


def test_a_variable_that_is_no_flag_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that says neither is no switch: nobody guesses what was meant."""
    monkeypatch.setenv("GUARD_CLIENT_TLS", "maybe")
    with pytest.raises(InvalidInput, match="GUARD_CLIENT_TLS: neither true nor false"):
        Credentials.of("localhost:1")
