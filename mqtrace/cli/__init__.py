"""The ``mqtrace`` command.

``mqtrace run`` becomes another program, so it imports nothing but itself; what the other commands need is imported for
them (commands.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from . import run

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. ``argv``: without the program's name; its exit status is returned."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["run"]:
        return run.run(arguments[1:])
    from . import commands

    return commands.main(arguments)
