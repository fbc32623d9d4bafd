"""Celery's signals while they keep what receivers they found: nobody's receiver notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals  # type: ignore[import-untyped]  # Celery ships no types
from celery.utils.dispatch import Signal  # type: ignore[import-untyped]  # as above

import mqtrace
from mqtrace.clients.celery import dispatch
from mqtrace.testing import Spans

EVERY_TASK = (signals.before_task_publish, signals.task_received, signals.task_prerun, signals.task_postrun)


@pytest.fixture(autouse=True)
def instrumented(spans: Spans) -> Iterator[None]:
    mqtrace.instrument_celery()
    yield
    mqtrace.uninstrument_celery()


@pytest.fixture
def app() -> Celery:
    return Celery("shop", broker="memory://", set_as_current=False)


def send(app: Celery) -> None:
    app.send_task("shop.unread", queue="nobody reads it")


def test_a_receiver_that_is_connected_later_is_called_and_not_after_it_was_disconnected(app: Celery) -> None:
    called: list[Any] = []

    def receiver(sender: Any = None, **_: Any) -> None:
        called.append(sender)

    send(app)
    signals.before_task_publish.connect(receiver)
    send(app)
    assert called == ["shop.unread"]
    signals.before_task_publish.disconnect(receiver)
    send(app)
    assert called == ["shop.unread"]


def test_a_receiver_of_one_sender_is_called_for_that_one(app: Celery) -> None:
    called: list[Any] = []

    def receiver(sender: Any = None, **_: Any) -> None:
        called.append(sender)

    signals.before_task_publish.connect(receiver, sender="shop.other")
    try:
        send(app)
        app.send_task("shop.other", queue="nobody reads it")
    finally:
        signals.before_task_publish.disconnect(receiver, sender="shop.other")
    assert called == ["shop.other"]


def test_a_receiver_that_is_gone_is_not_called(app: Celery) -> None:
    called: list[Any] = []

    class Watcher:
        def receiver(self, sender: Any = None, **_: Any) -> None:
            called.append(sender)

    watcher = Watcher()
    signals.before_task_publish.connect(watcher.receiver)
    send(app)
    del watcher
    send(app)
    assert called == ["shop.unread"]


def test_names_that_a_program_makes_up_do_not_pile_up(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_SENDERS", 8)
    for number in range(50):
        app.send_task(f"shop.task{number}", queue="nobody reads it")
    assert len(signals.before_task_publish.sender_receivers_cache) <= 8


def test_afterwards_the_signals_are_as_they_were(app: Celery) -> None:
    send(app)
    assert all(signal.use_caching for signal in EVERY_TASK)
    mqtrace.uninstrument_celery()
    assert [signal.use_caching for signal in EVERY_TASK] == [False] * 4
    assert all(type(signal.sender_receivers_cache) is dict for signal in EVERY_TASK)


def test_a_signal_that_keeps_them_already_is_left_alone() -> None:
    signal = Signal(name="of somebody", use_caching=True)
    kept = signal.sender_receivers_cache
    dispatch.cache_receivers(signal)
    assert signal.sender_receivers_cache is kept
