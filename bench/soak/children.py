"""Children of the process under load: forked while it sends, polls and exports, and ended in three ways."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import mqtrace

__all__ = ["Children", "say"]

_SPANS: Final = 300


def say(**facts: Any) -> None:
    """A line to who started us, in one write, so that it stays whole beside those of children."""
    os.write(1, f"{json.dumps(facts)}\n".encode())


class Children:
    """``begin()`` now and then; ``wait()`` at the end."""

    def __init__(self) -> None:
        self._ways: list[Callable[[], None]] = [self._shuts_down, self._is_terminated, self._by_multiprocessing]
        self._begun: list[tuple[int, Any]] = []
        self._count = 0

    def begin(self) -> None:
        """Fork one."""
        way = self._ways[self._count % len(self._ways)]
        self._count += 1
        way()
        self._reap()

    def wait(self, seconds: float = 30.0) -> None:
        """Until all have ended."""
        until = time.monotonic() + seconds
        while self._begun and time.monotonic() < until:
            self._reap()
            time.sleep(0.05)
        for pid, _ in self._begun:
            say(hangs=pid)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        left = []
        for pid, process in self._begun:
            if process is not None:
                status = process.exitcode
            else:
                done, raw = os.waitpid(pid, os.WNOHANG)
                status = os.waitstatus_to_exitcode(raw) if done else None
            if status is None:
                left.append((pid, process))
            else:
                say(child=pid, status=status, ended_at=time.time())
        self._begun = left

    def _shuts_down(self) -> None:
        """os._exit after a shutdown, with its counts."""
        if pid := self._fork():
            self._begun.append((pid, None))
            return
        _make_spans()
        mqtrace.shutdown(15.0)
        say(child=os.getpid(), made=_SPANS, stats=mqtrace.stats())
        os._exit(0)

    def _is_terminated(self) -> None:
        """SIGTERM, which nobody handles but us."""
        if pid := self._fork():
            self._begun.append((pid, None))
            return
        _make_spans()
        say(child=os.getpid(), made=_SPANS, begun_at=time.time(), way="SIGTERM", expected=-signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        os._exit(1)

    def _by_multiprocessing(self) -> None:
        """Runs to its end."""
        process = multiprocessing.get_context("fork").Process(target=_run_to_the_end)
        process.start()
        assert process.pid is not None
        self._begun.append((process.pid, process))

    def _fork(self) -> int:
        sys.stderr.flush()
        return os.fork()


def _make_spans() -> None:
    name = f"child {os.getpid()}"
    for _ in range(_SPANS):
        mqtrace.start_span(name, parent=None).end()


def _run_to_the_end() -> None:
    begun_at = time.time()
    _make_spans()
    say(child=os.getpid(), made=_SPANS, begun_at=begun_at, way="multiprocessing", expected=0)
