"""Locks and threads of the system's, beside greenlets."""

from __future__ import annotations

import threading
import time

import pytest

from mqtrace import native


def test_a_lock_is_waited_for_as_long_as_was_said() -> None:
    lock = native.allocate_lock()
    assert native.wait(lock, 0.0)
    began = time.monotonic()
    assert not native.wait(lock, 0.05)
    assert 0.04 < time.monotonic() - began < 1.0
    threading.Timer(0.05, lock.release).start()
    assert native.wait(lock, 5.0)


def test_where_threads_are_greenlets_the_wait_is_made_of_short_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    lock = native.allocate_lock()
    lock.acquire()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 10:
            lock.release()

    monkeypatch.setattr(native, "is_cooperative", lambda: True)
    monkeypatch.setattr(time, "sleep", sleep)
    assert native.wait(lock, 60.0)
    assert slept[0] < slept[5] <= max(slept) <= 0.02


def test_nothing_is_cooperative_here() -> None:
    assert not native.is_cooperative()
