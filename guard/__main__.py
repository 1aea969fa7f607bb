"""``python -m guard``: the command ``guard`` of this interpreter's environment."""

from __future__ import annotations

from guard.cli.main import main

main()
