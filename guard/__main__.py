"""``python -m guard``, and the command ``guard``: the first thing that a process of guard runs."""

from __future__ import annotations

import sys

from guard.server.signals import hold_signals


def main() -> None:
    """Run the command line of this process and exit."""
    if sys.argv[1:2] == ["serve"]:
        # All that is imported and loaded takes a second or more, in which a signal must not meet Python's own ways.
        hold_signals()
    from guard.cli.main import main as run_command

    run_command()


if __name__ == "__main__":
    main()
