"""Guards: locks that a fork and a signal handler may meet anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from mqtrace.core import ForkSafeLock
from mqtrace.sampling import Adaptive, RateLimit

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


def in_a_child(act: Callable[[], Any], seconds: float = 5.0) -> bool:
    """Whether a forked child did this, and in time."""
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def take(guard: ForkSafeLock) -> None:
    with guard.lock:
        pass


def test_a_child_is_not_kept_by_a_thread_that_it_does_not_have() -> None:
    guard, held, done = ForkSafeLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with guard.lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_a_child(lambda: take(guard))
    finally:
        done.set()
        thread.join()


def test_a_fork_within_the_lock_is_left_in_order() -> None:
    guard = ForkSafeLock()
    with guard.lock:
        child = os.fork()
    if child == 0:
        take(guard)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    take(guard)


@pytest.mark.parametrize("sampler", ["RateLimit(100)", "Adaptive(100)"])
def test_a_signal_handler_may_ask_the_sampler_that_was_interrupted(sampler: str) -> None:
    program = f"""
        import signal
        from mqtrace.sampling import Adaptive, RateLimit
        asked = []

        def clock():
            if asked == ["main"]:
                signal.raise_signal(signal.SIGUSR1)  # within the sampler's lock
            return 1.0

        def handler(*_):
            asked.append("handler")
            sampler.sample("f" * 32, "", "", None, {{}})
            for method in ("spend", "failed"):
                if hasattr(sampler, method):
                    getattr(sampler, method)(*(["orders"] if method == "failed" else []))

        signal.signal(signal.SIGUSR1, handler)
        sampler = {sampler[:-1]}, clock=clock)
        asked.append("main")
        sampler.sample("f" * 32, "", "", None, {{}})
        assert asked == ["main", "handler"]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=10, check=True)


@pytest.mark.parametrize("make", [RateLimit, Adaptive])
def test_samplers_hold_a_guard(make: Callable[[float], Any]) -> None:
    assert isinstance(make(100)._guard, ForkSafeLock)
