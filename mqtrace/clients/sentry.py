"""Sentry's integration of Celery: it goes on, but starts no spans of what mqtrace traces.

It wraps tasks, their messages and kombu's ``publish``. Most of what its functions do is not tracing: they report errors
with the data of the task, and report beat's tasks as monitors. So the functions stay, and ``sentry_sdk`` is replaced in
the globals of their module: the replacement starts no span or transaction of a task or producer that mqtrace traces.
That task or producer is a local variable of the function that starts the span, in Sentry's code.
"""

from __future__ import annotations

import sys
from types import FrameType, ModuleType
from typing import Any, Final

from mqtrace.clients.instrumented import traced_by_us, warn_once

__all__ = ["skip_ours"]

#: The local variables of Sentry's functions that hold the task or producer. Other functions have it first in ``args``.
_NAMES: Final = ("task", "self")


class _NoSpan:
    """Stands for a span of Sentry's that is not started."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None

    def set_data(self, *values: Any) -> None:
        """Store nothing."""

    set_attribute = set_status = set_data


class _Replaced:
    """A module of Sentry's, some of whose attributes are replaced."""

    def __init__(self, module: Any, **replacements: Any) -> None:
        self._module = module
        self.__dict__.update(replacements)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def skip_ours(module: ModuleType) -> None:
    """Make the functions of ``sentry_sdk.integrations.celery`` start no spans of what mqtrace traces."""
    sdk: Any = vars(module)["sentry_sdk"]
    replacements = {name: _unless_ours(sdk, getattr(sdk, name)) for name in ("start_span", "start_transaction")}
    traces: Any = getattr(sdk, "traces", None)  # of newer versions: spans that are sent as they end
    if hasattr(traces, "start_span"):
        replacements["traces"] = _Replaced(traces, start_span=_unless_ours(sdk, traces.start_span))
    vars(module)["sentry_sdk"] = _Replaced(sdk, **replacements)


def _unless_ours(sdk: Any, start: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        client = _client_in(sys._getframe(1))
        if client is None or not traced_by_us(client):
            return start(*args, **kwargs)
        options = sdk.get_client().options
        if options.get("traces_sample_rate") is not None or options.get("traces_sampler") is not None:
            warn_once("Sentry", "kombu" if hasattr(client, "publish") else "celery", "Sentry reports errors as before")
        return _NoSpan()

    return call


def _client_in(frame: FrameType) -> Any:
    """The task, app or producer that a function of Sentry's handles; None if its variables hold none."""
    variables = frame.f_locals
    for name in _NAMES:
        if name in variables:
            return variables[name]
    return next(iter(variables.get("args") or ()), None)
