"""Certificates for the tests, made by the ``openssl`` of the machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and of its key."""

    cert: Path
    key: Path


class Authority:
    """An authority of its own, which signs for 127.0.0.1 and localhost."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self._own = self._pair(name)
        _openssl("req", "-x509", "-new", *_KEY, "-keyout", self._own.key, "-out", self._own.cert, *_subject(name))

    @property
    def ca(self) -> Path:
        """The file that trusts it."""
        return self._own.cert

    def issue(self, name: str) -> Pair:
        """A certificate of a name; a renewed one if there is one already."""
        pair, request = self._pair(name), self._directory / f"{name}.csr"
        extensions = self._directory / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl("req", "-new", *_KEY, "-keyout", pair.key, "-out", request, *_subject(name))
        _openssl(
            "x509", "-req", "-in", request, "-CA", self._own.cert, "-CAkey", self._own.key, "-CAcreateserial",
            "-days", "2", "-extfile", extensions, "-out", pair.cert,
        )  # fmt: skip
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _subject(name: str) -> tuple[str, str]:
    return "-subj", f"/CN={name}"


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
