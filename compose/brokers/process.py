"""Processes that outlive the program that started them, and are found again by number and birth.

A process number alone is not an identity: after a crash or a reboot it may be somebody else's. A number together
with the moment it was born is, so nothing is ever signalled that was not started here. A killed JVM can stay a
zombie whose last threads still hold its port; a zombie counts as dead, and the port is waited for on its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Process", "spawn"]


def _stat(pid: int) -> tuple[str, str] | None:
    """(state letter, birth) of a process number; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):
            return None
    else:
        fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
        return fields[0], fields[19]
    shown = subprocess.run(  # macOS and the BSDs
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return (shown[0], shown[1].strip()) if len(shown) == 2 else None


class Process(NamedTuple):
    """A process that was started here. ``born`` is opaque, and compared only."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this number now; one that is gone already has no birth."""
        stat = _stat(pid)
        return cls(pid, stat[1] if stat else "")

    @property
    def alive(self) -> bool:
        """Whether it still runs: the same process, and not a zombie."""
        stat = _stat(self.pid)
        return stat is not None and stat[1] == self.born and stat[0][0] not in "ZX"

    def end(self, patience: float) -> None:
        """Ask it to end, and after ``patience`` seconds make it; returns when it is gone."""
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
            if not self.alive:
                return
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + seconds
            while self.alive and time.monotonic() < deadline:
                _reap(self.pid)
                time.sleep(0.05)


def _reap(pid: int) -> None:
    """Collect a child of this program, so that it does not stay a zombie; another's child is none of its business."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def spawn(command: Sequence[str], *, log: Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start a process in a session of its own (a Ctrl-C here does not reach it), its output appended to ``log``."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    child.returncode = 0  # it is meant to outlive this program: no ResourceWarning about that
    return Process.of(child.pid)
