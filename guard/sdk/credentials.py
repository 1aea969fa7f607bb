"""What a client shows a sidecar, and what it wants to see: TLS, certificates, a token.

What is not given is taken from the environment (``GUARD_CLIENT_TLS``, ``_CA``, ``_CERT``, ``_KEY``, ``_TOKEN``,
``_TOKEN_FILE``, ``_ALLOW_INSECURE_TOKEN``), so that a deployment can be secured without touching the program.

A token is a password: over a connection that others can read it is not sent, unless somebody says that it may be.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from guard.address import Address
from guard.errors import InvalidInput

_PREFIX = "GUARD_CLIENT_"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a client connects and calls. Files of certificates were read; that of a token is read for every call.

    Attributes:
        tls: True if the connection is encrypted.
        ca: Authorities of the server in PEM; None for those that gRPC knows.
        cert: The client's certificate in PEM; None if it has none.
        key: Its key.
        token: What every call carries, or the file that holds it; None for nothing.
    """

    tls: bool = False
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    token: str | Path | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        address: str,
        *,
        tls: bool | None = None,
        ca: str | Path | None = None,
        cert: str | Path | None = None,
        key: str | Path | None = None,
        token: str | Path | None = None,
        allow_insecure_token: bool | None = None,
    ) -> Credentials:
        """Read what is given, or else what the environment says.

        Args:
            address: A sound address.
            tls: Encrypt; implied by each of the next three.
            ca: File of the server's authorities in PEM; those of public authorities if not given.
            cert: File of the client's certificate, where the server asks for one.
            key: File of its private key.
            token: The token itself, or a ``Path`` of a file whose first line it is, and which may be renewed.
            allow_insecure_token: Send the token without TLS to another machine, too.

        Raises:
            InvalidInput: A file cannot be read, half of a pair is missing, TLS on a unix socket, no token, or a token
                over a connection that others can read.
        """
        place = Address.parse(address, "address", least_port=1)
        wants_tls = tls or (tls is None and any((ca, cert, key)))
        if place.path and wants_tls:
            raise InvalidInput.of("tls", "a unix socket has no TLS", "leave out tls, ca, cert and key")
        environment = _Environment(os.environ)
        if not place.path and tls is not False:
            ca, cert, key = ca or environment.get("CA"), cert or environment.get("CERT"), key or environment.get("KEY")
            wants_tls = wants_tls or environment.flag("TLS") or any((ca, cert, key))
        if tls is False and any((ca, cert, key)):
            raise InvalidInput.of("tls", "switched off beside certificates", "leave out ca, cert and key")
        if (cert is None) != (key is None):
            lacking = "key" if key is None else "cert"
            raise InvalidInput.of(lacking, "missing", "give the client's certificate and its key")
        if token is None and (file := environment.get("TOKEN_FILE")):
            token = Path(file)
        found = cls(
            tls=bool(wants_tls),
            ca=_read("ca", ca),
            cert=_read("cert", cert),
            key=_read("key", key),
            token=environment.get("TOKEN") if token is None else token,
        )
        found.metadata()
        if allow_insecure_token is None:
            allow_insecure_token = environment.flag("ALLOW_INSECURE_TOKEN")
        if found.token is not None and not (found.tls or allow_insecure_token or _private(place)):
            cure = "give tls or ca, or allow_insecure_token where you trust the network"
            raise InvalidInput.of("token", f"not sent to {address} without TLS: others could read it", cure)
        return found

    def channel(self) -> grpc.ChannelCredentials | None:
        """The credentials of the channel; None for an insecure one."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.cert) if self.tls else None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries.

        Raises:
            InvalidInput: The token's file cannot be read, or there is no token in it.
        """
        if self.token is None:
            return ()
        token = self.token
        if isinstance(token, Path):
            # The first of them: a file that client and server share holds two while they are exchanged.
            lines = (_read("token", token) or b"").decode("ascii", "replace").splitlines()
            token = next((line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidInput.of("token", "empty, or with characters that no token has", "give one as the server has")
        return (("authorization", f"Bearer {token}"),)


@dataclass(frozen=True, slots=True)
class _Environment:
    """The variables of the clients."""

    variables: Mapping[str, str]

    def get(self, name: str) -> str | None:
        return self.variables.get(_PREFIX + name) or None

    def flag(self, name: str) -> bool:
        value = (self.get(name) or "").lower()
        if value not in _TRUE | _FALSE:
            raise InvalidInput.of(_PREFIX + name, "neither true nor false", "set it to true, or unset it")
        return value in _TRUE


def _private(address: Address) -> bool:
    """True if nothing that is sent there leaves this machine."""
    try:
        return bool(address.path) or ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return address.host.lower() == "localhost"


def _read(field_: str, path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        cure = "check the path and its permissions"
        raise InvalidInput.of(field_, f"{path} cannot be read: {error.strerror}", cure) from None
