"""The server's certificate, and whose certificates it asks its callers for.

gRPC asks for the certificate with every handshake, so a renewed one is used from the next connection on. Connections
that stand are left alone.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from guard.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the PEM files are.

    Attributes:
        cert: The certificate and what leads from it to its authority.
        key: Its private key, not encrypted.
        client_ca: Authorities whose clients may connect; None if any client may.
    """

    cert: Path
    key: Path
    client_ca: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.cert, self.key, *([self.client_ca] if self.client_ca else []))


class Certificates:
    """The certificate that new connections get. :meth:`replace` may come from another thread than gRPC's."""

    def __init__(self, configuration: grpc.ServerCertificateConfiguration, *, mutual: bool) -> None:
        """Hold what :func:`read_certificates` gave; ``mutual`` asks callers for certificates, too."""
        self._mutual = mutual
        self._current = configuration

    def replace(self, configuration: grpc.ServerCertificateConfiguration) -> None:
        """New connections get this one."""
        self._current = configuration

    def credentials(self) -> grpc.ServerCredentials:
        """What one address of a server is bound with."""
        given = self._current

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            if given is self._current:
                return None  # gRPC would read it anew for every connection
            given = self._current
            return given

        return grpc.dynamic_ssl_server_credentials(
            given,
            renewed,  # type: ignore[arg-type]  # the stubs lack None, which says that nothing has changed
            require_client_authentication=self._mutual,
        )


def read_certificates(files: CertificateFiles) -> grpc.ServerCertificateConfiguration:
    """Read and check the files; gRPC would only say at every handshake that something is wrong.

    Raises:
        InvalidInput: One cannot be read or used; it is named.
    """
    cert, key = _read("tls_cert", files.cert), _read("tls_key", files.key)
    client_ca = _read("tls_client_ca", files.client_ca) if files.client_ca else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # With a password, because it would be asked for at the terminal.
        context.load_cert_chain(files.cert, files.key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = f"{files.cert} and {files.key} are no certificate with its key in PEM, without a password"
        raise InvalidInput.of("tls_cert", f"{reason}: {_said(error)}", "give the pair that belongs together") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            reason = f"{files.client_ca} holds no certificate in PEM: {_said(error)}"
            raise InvalidInput.of("tls_client_ca", reason, "give the certificates of the authorities") from None
    return grpc.ssl_server_certificate_configuration([(key, cert)], client_ca)


def _read(field: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
        raise InvalidInput.of(field, reason, "check the path and its permissions") from None


def _said(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__
