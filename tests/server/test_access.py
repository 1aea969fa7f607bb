"""Who may connect and who may call: a real sidecar with TLS, tokens and a unix socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from guard import AsyncGuardClient, GuardClient, InvalidInput, Unauthenticated, Unavailable
from guard.server.tls import CertificateFiles, read_certificates
from guard.server.tokens import Tokens, read_tokens
from guard.v1 import guard_pb2 as pb
from guard.v1.guard_pb2_grpc import GuardServiceStub
from tests.certificates import Authority
from tests.serving import Sidecar, sidecar, start
from tests.waiting import until

_OLD, _NEW = "old-token-0123456789", "new-token-0123456789"
_TIMEOUT = 30


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the sidecar's certificate and the clients'."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tokens."""
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"# of last month\n{_OLD}\n\n  {_NEW}  \n")
    return path


@pytest.fixture(scope="module")
def guarded(
    tiny_model_dir: Path, policy_dir: Path, token_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    """A sidecar that asks for a token, at a port and at a unix socket."""
    unix = f"unix:{tmp_path_factory.mktemp('run') / 'guard.sock'}"
    with sidecar(tiny_model_dir, policy_dir, "127.0.0.1:0", unix, token_file=token_file) as running:
        yield running


@pytest.fixture(scope="module")
def mutual(tiny_model_dir: Path, policy_dir: Path, authority: Authority) -> Iterator[Sidecar]:
    """A sidecar that shows a certificate and asks for one."""
    pair = authority.issue("server")
    options = {"tls_cert": pair.cert, "tls_key": pair.key, "tls_client_ca": authority.ca}
    with sidecar(tiny_model_dir, policy_dir, **options) as running:
        yield running


def _screen(address: str, **options: Any) -> Any:
    with GuardClient(address, **{"timeout": _TIMEOUT, "retries": 0, **options}) as client:
        return client.screen("hello")


@pytest.mark.parametrize("token", [_OLD, _NEW])
def test_every_token_of_the_file_is_good(guarded: Sidecar, token: str, tmp_path: Path) -> None:
    """Any of the tokens opens every method of both clients; several may be good while they are exchanged."""
    file = tmp_path / "token"
    file.write_text(token + "\n")
    for address in guarded.addresses:
        with GuardClient(address, token=token) as client:
            assert client.screen("hello").allowed
            assert client.screen_batch(["hello"])[0].allowed  # type: ignore[union-attr]
            assert "".join(client.screen_stream(["hello"])) == "hello"
            assert client.info().policies

    async def scenario() -> None:
        async with AsyncGuardClient(guarded.address, token=file) as client:
            assert (await client.screen("hello")).allowed
            assert "".join([piece async for piece in client.screen_stream(["hello"])]) == "hello"

    asyncio.run(scenario())


def _stub(channel: Any) -> Any:
    return GuardServiceStub(channel)  # type: ignore[no-untyped-call]


def _reflect(channel: Any, **options: Any) -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub
    return list(stub(channel).ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest()]), **options))


_CALLS: dict[str, Callable[..., Any]] = {
    "Screen": lambda c, **options: _stub(c).Screen(pb.ScreenRequest(), **options),
    "ScreenBatch": lambda c, **options: _stub(c).ScreenBatch(pb.ScreenBatchRequest(), **options),
    "GetInfo": lambda c, **options: _stub(c).GetInfo(pb.GetInfoRequest(), **options),
    "ScreenStream": lambda c, **options: list(_stub(c).ScreenStream(iter([]), **options)),
    "reflection": _reflect,
    "a method that there is not": lambda c, **options: c.unary_unary("/guard.v1.GuardService/No")(b"", **options),
}


@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer wrong-token-0123456"),),
        (("authorization", _OLD),),
        (("authorization", f"Basic {_OLD}"),),
        (("authorization", f"Bearer {_OLD}x"),),
        (("authorization", "Bearer "),),
        (("authorization", f"Bearer {_OLD}"), ("authorization", "Bearer x")),
    ],
)
def test_without_a_good_token_nothing_but_health_answers(
    guarded: Sidecar, call: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    """Every method, streams and reflection among them, is refused before its request is read."""
    for address in guarded.addresses:
        with grpc.insecure_channel(address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                _CALLS[call](channel, timeout=_TIMEOUT, metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            health: Any = health_pb2_grpc.HealthStub
            answer = health(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_refused_client_is_told_why(guarded: Sidecar) -> None:
    """A client without a token, or with another one, gets Unauthenticated with the cure; the token is in no message."""
    with pytest.raises(Unauthenticated, match=r"^the call carries no token \(give"):
        _screen(guarded.address)
    with pytest.raises(Unauthenticated, match=r"^the token is not one of this guard's \(give") as caught:
        _screen(guarded.address, token="secret-0123456789")
    assert "secret" not in str(caught.value)
    with GuardClient(guarded.address) as client, pytest.raises(Unauthenticated):
        list(client.screen_stream(["hello"]))

    async def streaming() -> None:
        async with AsyncGuardClient(guarded.address) as client:
            async for _ in client.screen_stream(["hello"] * 100):
                pass

    with pytest.raises(Unauthenticated):
        asyncio.run(streaming())


def test_tokens_are_exchanged_without_a_restart(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """A changed file of tokens counts from then on; one that is emptied changes nothing."""
    file = tmp_path / "tokens"
    file.write_text(_OLD)
    with sidecar(tiny_model_dir, policy_dir, token_file=file, watch=0.05) as running:
        assert _screen(running.address, token=_OLD).allowed
        file.write_text(_NEW)

        def exchanged() -> bool:
            try:
                return bool(_screen(running.address, token=_NEW).allowed)
            except Unauthenticated:
                return False

        assert until(exchanged)
        with pytest.raises(Unauthenticated):
            _screen(running.address, token=_OLD)
        file.write_text("# none\n")
        running.process.send_signal(signal.SIGHUP)
        running.logged("tokens not loaded")
        assert _screen(running.address, token=_NEW).allowed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no token in it (write one token a line)"),
        (f"{_OLD}\nshort\n", ":2: no token of at least 16"),
        (f"{_OLD} twice in a line\n", ":1: no token of at least 16"),
        ("pässwort-pässwort-\n", ":1: no token of at least 16"),
    ],
)
def test_a_broken_file_of_tokens_is_named(tmp_path: Path, text: str, said: str) -> None:
    """What is no token is told by its line, and not shown."""
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_tokens(file)
    assert f"token_file: {file}" in str(caught.value)
    assert said in str(caught.value)
    assert "short" not in str(caught.value)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_tokens(tmp_path / "nowhere")


def test_the_scheme_may_be_written_in_any_case(tmp_path: Path) -> None:
    """``bearer`` is good as ``Bearer`` is (RFC 9110); a token is not."""
    file = tmp_path / "tokens"
    file.write_text(_OLD)
    tokens = Tokens(read_tokens(file))
    assert tokens.good(f"bearer {_OLD}")
    assert not tokens.good(f"Bearer {_OLD.upper()}")


def test_mutual_tls(mutual: Sidecar, authority: Authority, tmp_path: Path) -> None:
    """A client with a certificate of the authority is answered, over both clients, and streams, too."""
    mine = authority.issue("client")
    options: dict[str, Any] = {"ca": authority.ca, "cert": mine.cert, "key": mine.key}
    with GuardClient(mutual.address, **options) as client:
        assert client.screen("hello").allowed
        assert "".join(client.screen_stream(["hello"])) == "hello"

    async def scenario() -> None:
        async with AsyncGuardClient(mutual.address, **options) as client:
            assert (await client.screen("hello")).allowed

    asyncio.run(scenario())


def test_a_failed_handshake_is_said(mutual: Sidecar, authority: Authority, tmp_path: Path) -> None:
    """Without TLS, without a certificate, with one of somebody else, or trusting somebody else: nothing is answered."""
    stranger = Authority(tmp_path / "stranger")
    theirs = stranger.issue("client")
    mine = authority.issue("client")
    closed = r"closes the connection \(it may speak TLS, or ask for a certificate"
    for options, said in (
        ({}, closed),
        ({"ca": authority.ca}, closed),
        ({"ca": authority.ca, "cert": theirs.cert, "key": theirs.key}, closed),
        ({"ca": stranger.ca, "cert": mine.cert, "key": mine.key}, "no TLS with .*: certificate verify failed"),
        ({"ca": authority.ca, "cert": mine.cert, "key": theirs.key}, "ca, cert or key is no PEM, or no pair"),
    ):
        with pytest.raises(Unavailable, match=said):
            _screen(mutual.address, **options)


def test_tls_with_a_plain_sidecar_is_said(guarded: Sidecar, authority: Authority) -> None:
    """A client that wants TLS gets none from a sidecar without it, and is told so."""
    with pytest.raises(Unavailable, match=r"no TLS with .*: wrong version number \(check ca, and whether"):
        _screen(guarded.address, ca=authority.ca, token=_OLD)


def test_a_renewed_certificate_is_used(
    tiny_model_dir: Path, policy_dir: Path, authority: Authority, tmp_path: Path
) -> None:
    """New connections get a renewed certificate without a restart; one without its key changes nothing."""
    pair, other = authority.issue("renewed"), Authority(tmp_path / "other")
    with sidecar(tiny_model_dir, policy_dir, tls_cert=pair.cert, tls_key=pair.key, watch=0) as running:
        assert _screen(running.address, ca=authority.ca).allowed
        shutil.copy(other.issue("renewed").cert, pair.cert)
        running.process.send_signal(signal.SIGHUP)
        assert "tls_cert: " in running.logged("certificates not loaded")
        assert _screen(running.address, ca=authority.ca).allowed
        shutil.copy(tmp_path / "other" / "renewed.key", pair.key)
        running.process.send_signal(signal.SIGHUP)
        running.logged("certificates loaded")
        assert _screen(running.address, ca=other.ca).allowed
        with pytest.raises(Unavailable):
            _screen(running.address, ca=authority.ca)


def test_broken_certificates_are_named(authority: Authority, tmp_path: Path) -> None:
    """Files that are missing, empty, of different pairs or no authorities are told with their option."""
    one, two = authority.issue("one"), authority.issue("two")
    empty = tmp_path / "empty"
    empty.write_text("")
    for files, said in (
        (CertificateFiles(tmp_path / "no", one.key, None), "tls_cert: .*no cannot be read: No such file"),
        (CertificateFiles(one.cert, tmp_path / "no", None), "tls_key: .*no cannot be read: No such file"),
        (CertificateFiles(one.cert, two.key, None), r"tls_cert: .* are no certificate with its key in PEM.*\(give the"),
        (CertificateFiles(empty, one.key, None), "tls_cert: .* are no certificate with its key"),
        (CertificateFiles(one.cert, one.key, empty), "tls_client_ca: .*empty holds no certificate"),
        (CertificateFiles(one.cert, one.key, one.key), "tls_client_ca: .* holds no certificate"),
    ):
        with pytest.raises(InvalidInput, match=said):
            read_certificates(files)


def test_tls_is_for_ports_and_the_mode_for_sockets(
    tiny_model_dir: Path, policy_dir: Path, authority: Authority, tmp_path: Path
) -> None:
    """Beside a port with TLS a unix socket stays plain: its file's mode says who may connect."""
    pair, path = authority.issue("server"), tmp_path / "guard.sock"
    options = {"tls_cert": pair.cert, "tls_key": pair.key, "socket_mode": "0660"}
    with sidecar(tiny_model_dir, policy_dir, "localhost:0", f"unix:{path}", **options) as running:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert _screen(f"unix:{path}").allowed
        assert _screen(running.address, ca=authority.ca).allowed


def test_a_socket_is_for_its_owner_alone(guarded: Sidecar) -> None:
    """Without another wish only the user of the sidecar may connect to its socket."""
    path = guarded.addresses[1].removeprefix("unix:")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_sidecar_without_its_secrets_does_not_start(tiny_model_dir: Path, policy_dir: Path, tmp_path: Path) -> None:
    """A file of tokens that is missing ends the start with its name, and nothing listens unguarded."""
    with start(tiny_model_dir, policy_dir, "127.0.0.1:0", token_file=tmp_path / "no") as process:
        output, errors = process.communicate(timeout=60)
    assert output == ""
    assert f"token_file: {tmp_path / 'no'} cannot be read" in errors.splitlines()[-1]
