"""Celery: every app's tasks."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

import mqtrace
from mqtrace.imports import when_imported

__all__ = ["put_in_place"]

_OURS: Final = "mqtrace.clients.celery"


def put_in_place(module: ModuleType) -> None:
    """Trace the tasks of every app, as ``mqtrace.instrument_celery()`` does."""
    if _OURS in sys.modules:  # a program's own instrument_celery() imports Celery: what we need is not whole before it
        when_imported(_OURS, _instrument, whole=True)
    else:
        mqtrace.instrument_celery()


def _instrument(_: ModuleType) -> None:
    mqtrace.instrument_celery()
