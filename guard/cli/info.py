"""``guard info``: what is loaded, in process or at a sidecar."""

from __future__ import annotations

from guard.cli.connect import connect
from guard.cli.options import Format, FormatOption, ModelOption, PolicyOption, ServerOption
from guard.cli.output import info_json, info_view, show, write_line


def info(
    policy: PolicyOption = None,
    model: ModelOption = None,
    server: ServerOption = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Show what is loaded: versions, model, policies, limits."""
    with connect(model, policy, server) as connection:
        loaded = connection.guard.info()
    if format_ is Format.JSON:
        write_line(info_json(loaded))
    else:
        show(info_view(loaded))
