"""Celery: every app's tasks."""

from __future__ import annotations

from types import ModuleType

import mqtrace

__all__ = ["put_in_place"]


def put_in_place(module: ModuleType) -> None:
    """Trace the tasks of every app, as ``mqtrace.instrument_celery()`` does."""
    mqtrace.instrument_celery()
