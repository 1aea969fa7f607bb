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
        "MAX_STREAMS": "7",
        "STREAM_TIMEOUT": "60",
        "WATCH": "0.5",
        "SOCKET_MODE": "0660",
        "TOKEN_FILE": "tokens",
        "TLS_CERT": "c.pem",
        "TLS_KEY": "k.pem",
        "TLS_CLIENT_CA": "ca.pem",
        "METRICS": "127.0.0.1:9464",
        "DECISION_LOG": "d.jsonl",
        "DECISION_LOG_TEXT": "true",
        "DECISION_LOG_KEY_FILE": "key",
        "DECISION_LOG_MAX_BYTES": "4096",
        "DECISION_LOG_FILES": "3",
        "DECISION_LOG_BUFFER": "11",
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
        "max_streams": 7,
        "stream_timeout": 60,
        "watch": 0.5,
        "socket_mode": "0660",
        "token_file": Path("tokens"),
        "tls_cert": Path("c.pem"),
        "tls_key": Path("k.pem"),
        "tls_client_ca": Path("ca.pem"),
        "metrics": "127.0.0.1:9464",
        "decision_log": Path("d.jsonl"),
        "decision_log_text": True,
        "decision_log_key_file": Path("key"),
        "decision_log_max_bytes": 4096,
        "decision_log_files": 3,
        "decision_log_buffer": 11,
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
    assert {violation.field for violation in caught.value.violations} == {"--workers", "GUARD_GRACE", "GUARD_LISTEN"}
    assert "GUARD_LISTEN: no address: 'nowhere' (HOST:PORT, [IPV6]:PORT or unix:PATH)" in str(caught.value)


@pytest.mark.parametrize("address", ["localhost", ":50061", "127.0.0.1:65536", "::1:50061", "unix:", "127.0.0.1:x"])
def test_broken_address_is_refused(address: str) -> None:
    """What is no address is a broken option, not a failure to listen."""
    with pytest.raises(InvalidInput) as caught:
        Settings.load(listen=("127.0.0.1:0", address))
    assert [violation.field for violation in caught.value.violations] == ["--listen"]


def test_address_given_twice_is_refused() -> None:
    """The same address twice is a mistake; port 0 twice is two free ports."""
    with pytest.raises(InvalidInput, match="given twice"):
        Settings.load(listen=("127.0.0.1:50061", "127.0.0.1:50061"))
    assert len(Settings.load(listen=("127.0.0.1:0", "127.0.0.1:0")).addresses) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GUARD_TOKEN_FIEL", "GUARD_TOKEN_FIEL: no such option (did you mean GUARD_TOKEN_FILE?)"),
        ("GUARD_LISTENS", "GUARD_LISTENS: no such option (did you mean GUARD_LISTEN?)"),
        ("GUARD_FOO", "GUARD_FOO: no such option (see guard serve --help, or unset it)"),
        ("GUARD_CERTIFICATE_OF_THE_SERVER", "no such option (see guard serve --help, or unset it)"),
    ],
)
def test_mistyped_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    """A variable that looks like an option and is none is an error: its option would silently keep its default."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(InvalidInput) as caught:
        Settings.load(workers=0)
    assert said in str(caught.value)
    assert "workers" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "GUARD_SERVICE_HOST", "GUARD_SERVICE_PORT", "GUARD_SERVICE_PORT_GRPC", "GUARD_PORT", "GUARD_PORT_50061_TCP",
        "GUARD_PORT_50061_TCP_ADDR", "GUARD_METRICS_SERVICE_HOST", "GUARD_CLIENT_TOKEN", "GUARD_DECISION_LOG_KEY",
    ],
)  # fmt: skip
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What Kubernetes sets for a Service named guard, and what the clients read, is no option of the server."""
    monkeypatch.setenv(name, "tcp://10.0.0.1:50061")
    assert Settings.load().listen == ("127.0.0.1:50061",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tls_cert": "c.pem"}, "tls: tls_key is missing (give the certificate and its key)"),
        ({"tls_key": "k.pem"}, "tls: tls_cert is missing (give the certificate and its key)"),
        ({"tls_client_ca": "ca.pem"}, "tls: tls_client_ca without a certificate (give tls_cert and tls_key, too)"),
        ({"metrics": "unix:/run/m"}, "--metrics: a unix socket (give HOST:PORT, such as 127.0.0.1:9464)"),
        ({"metrics": "9464"}, "--metrics: no address: '9464'"),
        ({"socket_mode": "rw"}, "--socket-mode: not in its form: 'rw' (such as 600)"),
        ({"stream_timeout": 0}, "--stream-timeout: 0 is out of range (above 0, at most 604800)"),
        ({"request_timeout": float("nan")}, "--request-timeout: nan is out of range (above 0, at most 3600)"),
        ({"workers": -1}, "--workers: -1 is out of range (1 to 1024)"),
        ({"max_tokens": 0}, "--max-tokens: 0 is out of range (at least 1)"),
        ({"log_level": "loud"}, "--log-level: unknown value: 'loud' (one of debug, info, warning, error)"),
        ({"policy": ["default", "strict"]}, "--policy: 2 policies, and one file, name or directory is served (give a"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], said: str) -> None:
    """Half of a key pair, an address of the wrong kind, a mode that is none: each is named with its cure."""
    with pytest.raises(InvalidInput) as caught:
        Settings.load(**options)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WORKERS", "x", "GUARD_WORKERS: not a whole number: 'x' (1 to 1024)"),
        ("WORKERS", "1.5", "GUARD_WORKERS: not a whole number: '1.5' (1 to 1024)"),
        ("GRACE", "soon", "GUARD_GRACE: not a number: 'soon' (0 to 3600)"),
        ("BATCHING", "perhaps", "GUARD_BATCHING: neither true nor false: 'perhaps' (true or false)"),
        ("LISTEN", ",", "GUARD_LISTEN: empty (give at least one, or leave it out)"),
        ("POLICY", "default,strict", "GUARD_POLICY: 2 policies, and one file, name or directory is served (give a"),
    ],
)
def test_broken_variable_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """A variable is called by its own name, with what it holds and what it may hold."""
    monkeypatch.setenv(f"GUARD_{name}", value)
    with pytest.raises(InvalidInput) as caught:
        Settings.load()
    assert str(caught.value).startswith(said)


def test_a_policy_whose_name_has_a_comma(tmp_path: Path) -> None:
    """A path is a path, whatever characters it has."""
    file = tmp_path / "a,b.yaml"
    file.touch()
    assert Settings.load(policy=(str(file),)).policy == str(file)
