"""How long a message was to wait before its task runs: what a publish asks for, and when that is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mqtrace.messaging import Operation

__all__ = ["asked_for", "delay", "due"]


def due(eta: object, app: Any) -> float | None:
    """When a task is due, s since the epoch, from an eta as Celery writes it (ISO 8601); None where it says nothing."""
    try:
        when = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        if not isinstance(when, datetime):
            return None
        if when.tzinfo is None and app is not None:
            when = when.replace(tzinfo=app.timezone)
        return when.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def asked_for(countdown: object, eta: object, app: Any, sends: Operation) -> float | None:
    """Seconds to wait that a publish asks for: its countdown, else what is left until its eta."""
    # Celery takes the countdown where there are both. Its eta says it too, but not when that was made.
    if countdown and isinstance(countdown, (int, float)):
        return max(0.0, float(countdown))
    return delay(eta, app, _now_ms(sends) / 1e3)


def delay(eta: object, app: Any, sent: float) -> float | None:
    """Seconds that were asked for when the message was sent (``sent``: s since the epoch); never below 0."""
    when = due(eta, app)
    # Celery has turned a countdown into a time shortly before: hundredths are what is left of it.
    return None if when is None else max(0.0, round(when - sent, 2))


def _now_ms(operation: Operation) -> float:
    """Now, ms since the epoch, by the tracer's clock."""
    clock = operation.tracer.pipeline.clock
    return clock.epoch(clock.now()) / 1e6
