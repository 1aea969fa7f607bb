"""Who may connect and call: TLS, tokens, and the mode of unix sockets, as the settings say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import grpc

from guard.address import Address
from guard.server.observer import Observer
from guard.server.reload import Source
from guard.server.settings import Settings
from guard.server.tls import CertificateFiles, Certificates, read_certificates
from guard.server.tokens import TokenGate, Tokens, read_tokens
from guard.server.watch import Watch


class Access:
    """What a server's callers need. Belongs to one event loop.

    TLS is for addresses with a port; of a unix socket the file's mode says who may connect. Tokens are for both.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the files that the settings name.

        Raises:
            InvalidInput: One cannot be read or used; the option and the file are named.
        """
        self._socket_mode = int(settings.socket_mode, 8)
        self._sources: list[Source] = []
        self._tokens = self._read_tokens(settings.token_file) if settings.token_file else None
        self._certificates: Certificates | None = None
        if settings.tls_cert and settings.tls_key:
            files = CertificateFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            self._certificates = self._read_certificates(files)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What can be loaded again."""
        return tuple(self._sources)

    def interceptors(self, observer: Observer) -> tuple[grpc.aio.ServerInterceptor, ...]:
        """What stands before every call."""
        return (TokenGate(self._tokens, observer),) if self._tokens else ()

    def bind(self, server: grpc.aio.Server, address: Address) -> int:
        """Let a server listen at an address.

        Returns:
            The port.

        Raises:
            RuntimeError: It cannot.
        """
        if not address.path:
            if self._certificates is None:
                return server.add_insecure_port(str(address))
            return server.add_secure_port(str(address), self._certificates.credentials())
        # From its first moment on: the mode is not changed after somebody could have connected.
        before = os.umask(0o777 & ~self._socket_mode)
        try:
            port = server.add_insecure_port(str(address))
        finally:
            os.umask(before)
        Path(address.path).chmod(self._socket_mode)
        return port

    def _read_tokens(self, path: Path) -> Tokens:
        watch = Watch(path)
        tokens = Tokens(read_tokens(path))

        def load() -> Callable[[], str]:
            digests = read_tokens(path)

            def place() -> str:
                tokens.replace(digests)
                return f"{len(digests)} of {path}"

            return place

        self._sources.append(Source("tokens", watch, load))
        return tokens

    def _read_certificates(self, files: CertificateFiles) -> Certificates:
        watch = Watch(*files.paths)
        certificates = Certificates(read_certificates(files), mutual=files.client_ca is not None)

        def load() -> Callable[[], str]:
            configuration = read_certificates(files)

            def place() -> str:
                certificates.replace(configuration)
                return f"{files.cert}, for new connections"

            return place

        self._sources.append(Source("certificates", watch, load))
        return certificates
