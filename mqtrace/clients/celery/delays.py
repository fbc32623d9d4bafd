"""The delay of a task: what a publish asks for by a countdown or an eta, and when the task is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mqtrace.messaging import Operation

__all__ = ["delay_until", "due_s", "requested_delay"]


def due_s(eta: object, app: Any) -> float | None:
    """When a task is due, s since the epoch, by an eta as Celery writes it (ISO 8601); None if it is not a time."""
    try:
        time = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        if not isinstance(time, datetime):
            return None
        if time.tzinfo is None and app is not None:
            time = time.replace(tzinfo=app.timezone)
        return time.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def requested_delay(countdown: object, eta: object, app: Any, sends: Operation) -> float | None:
    """The delay that a publish asks for, s: its countdown, else the time left until its eta."""
    # Celery prefers a countdown to an eta. It computes an eta from it, but that does not contain the time of the call.
    if countdown and isinstance(countdown, (int, float)):
        return max(0.0, float(countdown))
    clock = sends.tracer.pipeline.clock
    return delay_until(eta, app, clock.epoch(clock.now()) / 1e9)


def delay_until(eta: object, app: Any, sent_s: float) -> float | None:
    """The delay, s, of a message that was sent at ``sent_s`` (s since the epoch); never below 0."""
    due = due_s(eta, app)
    # Celery made the eta of a countdown shortly before: the delay is right to a hundredth of a second.
    return None if due is None else max(0.0, round(due - sent_s, 2))
