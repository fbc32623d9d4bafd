"""Sentry's integration of Celery, as far as it makes spans of what mqtrace traces.

It puts functions of its own around tasks, their messages and kombu's ``publish``. Most of what they do is not tracing:
they report errors, with what belongs to the task, and check beat's tasks in. So the functions stay, and find another
``sentry_sdk`` in the globals of their module: one that begins no span or transaction of a thing that mqtrace traces.
Which thing that is, only the function knows that asks for a span.
"""

from __future__ import annotations

import sys
from types import FrameType, ModuleType
from typing import Any, Final

from mqtrace.clients.instrumented import traced_by_us, warn

__all__ = ["leave_ours"]

#: What a function of theirs calls the thing that it is about: a task, a producer, or the task or app in ``args``.
_NAMES: Final = ("task", "self")


class _NoSpan:
    """Stands for a span of theirs that is not begun."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None

    def set_data(self, *said: Any) -> None:
        """Nothing is kept."""

    set_attribute = set_status = set_data


class _Leaving:
    """A module of theirs whose functions begin no spans of what mqtrace traces."""

    def __init__(self, module: Any, **instead: Any) -> None:
        self._module = module
        self.__dict__.update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def leave_ours(module: ModuleType) -> None:
    """Have the functions of ``sentry_sdk.integrations.celery`` begin no spans of what mqtrace traces."""
    sdk: Any = vars(module)["sentry_sdk"]
    instead = {name: _unless_ours(sdk, getattr(sdk, name)) for name in ("start_span", "start_transaction")}
    traces: Any = getattr(sdk, "traces", None)  # newer ones: spans that are sent as they end
    if hasattr(traces, "start_span"):
        instead["traces"] = _Leaving(traces, start_span=_unless_ours(sdk, traces.start_span))
    vars(module)["sentry_sdk"] = _Leaving(sdk, **instead)


def _unless_ours(sdk: Any, begin: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        thing = _thing(sys._getframe(1))
        if thing is None or not traced_by_us(thing):
            return begin(*args, **kwargs)
        options = sdk.get_client().options
        if options.get("traces_sample_rate") is not None or options.get("traces_sampler") is not None:
            warn("Sentry", "kombu" if hasattr(thing, "publish") else "celery", "Sentry reports errors as before")
        return _NoSpan()

    return call


def _thing(frame: FrameType) -> Any:
    """What a function of theirs is about; None where it is another than those that are known here."""
    known = frame.f_locals
    for name in _NAMES:
        if name in known:
            return known[name]
    return next(iter(known.get("args") or ()), None)
