"""``mqtrace run PROGRAM``: a program whose queues are traced without a change of its code.

The program's Python, and every Python that it starts, finds a ``sitecustomize`` of ours first on PYTHONPATH. So
children by fork, spawn, forkserver, reloaders and servers with workers are traced like the program itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

__all__ = ["HELP", "USAGE", "command", "environment", "run"]

USAGE = "mqtrace run [-m MODULE | SCRIPT.py | PROGRAM] [ARGUMENT ...]"
HELP = "run a program whose queues are traced without a change of its code"

_SITE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "auto", "site")


def run(arguments: Sequence[str]) -> int:
    """Become the program. Returns only where it cannot be started."""
    if arguments[:1] == ["--"]:  # as after other commands that run a program
        arguments = arguments[1:]
    if not arguments or arguments[0] in ("", "-h", "--help"):
        print(f"usage: {USAGE}\n\n{HELP}; see docs/auto.md for the variables that configure it")
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    program = command(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        os.execvpe(program[0], program, environment(os.environ))
    except OSError as error:
        print(f"mqtrace: {program[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return 126 if isinstance(error, PermissionError) else 127


def command(arguments: Sequence[str]) -> list[str]:
    """The program with its arguments: ``-m MODULE`` and ``SCRIPT.py`` are run by this Python."""
    first = arguments[0]
    if first.startswith("-") or first.endswith((".py", ".pyw", ".pyz")):
        return [sys.executable, *arguments]
    return list(arguments)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with our ``sitecustomize`` first on PYTHONPATH, once."""
    folders = [folder for folder in environ.get("PYTHONPATH", "").split(os.pathsep) if folder and folder != _SITE]
    return {**environ, "PYTHONPATH": os.pathsep.join([_SITE, *folders])}
