"""``guard info``: what is loaded, in process or at a sidecar."""

from __future__ import annotations

from guard.cli.connect import Shown, connect
from guard.cli.options import (
    CaOption,
    CertOption,
    Format,
    FormatOption,
    InsecureTokenOption,
    KeyOption,
    ModelOption,
    PolicyOption,
    ServerOption,
    TlsOption,
    TokenFileOption,
)
from guard.cli.output import info_json, info_view, show, write_line


def info(
    policy: PolicyOption = None,
    model: ModelOption = None,
    server: ServerOption = None,
    tls: TlsOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    token_file: TokenFileOption = None,
    allow_insecure_token: InsecureTokenOption = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Show what is loaded: versions, model, policies, limits."""
    with connect(model, policy, server, Shown(tls, ca, cert, key, token_file, allow_insecure_token)) as connection:
        loaded = connection.guard.info()
    if format_ is Format.JSON:
        write_line(info_json(loaded))
    else:
        show(info_view(loaded))
