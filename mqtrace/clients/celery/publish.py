"""The send span of a task's message.

- ``before_task_publish`` passes the headers that will be sent: a dict of Celery's own, into which the user's headers
  are merged.
- No signal is sent when a publish fails, and none names the app that publishes. ``Celery.send_task``, through which
  every task is sent, knows both, so it is called within a function of ours (docs/rationale.md). That function also ends
  the span, so ``after_task_publish`` is not connected: a signal costs 1.3 us.
- A retry is a publish too; retries.py has what only a retry needs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from celery import Celery, current_app  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.carriers import Mapping as MappingCarrier
from mqtrace.core import NoopSpan, start_send
from mqtrace.messaging import Operation, carry, end, send_time

from .delays import requested_delay
from .retries import running_attempt, start_retry
from .spans import ATTEMPT, PREVIOUS, TaskSendSpan, note, sent_ms
from .state import INSTRUMENTATION

__all__ = ["before_publish", "hook", "publishes", "publishing_app", "unhook"]


class _Publish:
    """A call of ``send_task``: the app, the countdown, whether the signal was sent, and the span if it is recorded.

    It is mutable, because setting a context variable costs more than changing these.
    """

    __slots__ = ("app", "countdown", "signalled", "span")

    def __init__(self, app: Any, countdown: object) -> None:
        self.app = app
        self.countdown = countdown
        self.signalled = False
        self.span: TaskSendSpan | None = None


_sending: ContextVar[_Publish | None] = ContextVar("mqtrace_celery_sending", default=None)
_for_app = INSTRUMENTATION.for_app
_get_sending = _sending.get
_set_sending = _sending.set
_reset_sending = _sending.reset


def publishes() -> bool:
    """Whether a task is being sent right now."""
    return _get_sending() is not None


def publishing_app() -> Any:
    """The app that publishes now; the current app if that is not known."""
    publish = _get_sending()
    return current_app._get_current_object() if publish is None else publish.app


# ---------------------------------------------------------------------- the hook


def hook() -> None:
    """Replace ``Celery.send_task``, to know the app and to end the span, also of a publish that fails."""
    INSTRUMENTATION.replace(Celery, send_task)


def send_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """What ``Celery.send_task`` is replaced by."""
    replaced = INSTRUMENTATION.replaced

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if replaced.get("send_task") is not original:  # uninstrumented, but another library kept this function
            return original(self, *args, **kwargs)
        publish = _Publish(self, kwargs.get("countdown"))
        token = _set_sending(publish)
        try:
            result = original(self, *args, **kwargs)
            if publish.span is not None:
                publish.span.end()  # within: a signal's handler may raise before this has begun, as beat's does
        except BaseException as error:
            _reset_sending(token)
            # if the signal was sent, it is decided already whether there is a span
            span = publish.span if publish.signalled else _start_unsent(self, args, kwargs)
            if span is not None:
                end(span, error)
            raise
        _reset_sending(token)
        return result

    return call


def unhook() -> None:
    """Put ``Celery.send_task`` back."""
    INSTRUMENTATION.put_back(Celery, "send_task")


def _start_unsent(app: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskSendSpan | None:
    """Start the span of a publish that failed before there was a message or a signal: no result store, no route.

    It begins when the publish fails.
    """
    tasks = _for_app(app)
    if tasks is None:
        return None
    try:
        span = start_send(tasks.unsent_template(app, args[0] if args else kwargs.get("name")), TaskSendSpan)
        if type(span) is not TaskSendSpan:
            return None
        note(span, {"id": kwargs.get("task_id"), **{key: kwargs.get(key) for key in ("root_id", "retries", "eta")}})
    except Exception:  # noqa: BLE001  # the caller is to get the error of the publish, not ours
        tasks.send.tracer.complain("a publish that failed could not be traced")
        return None
    return span


# ---------------------------------------------------------------------- the signal


def before_publish(
    sender: Any = None,
    body: Any = None,
    exchange: Any = None,
    routing_key: Any = None,
    headers: Any = None,
    signal: Any = None,
    declare: Any = None,
    properties: Any = None,
    retry_policy: Any = None,
    **_: Any,
) -> None:
    """``before_task_publish``: start the span, put its context into the headers."""
    publish = _get_sending()
    if publish is not None and not publish.signalled:
        publish.signalled = True
        app = publish.app
    else:
        publish = None
        # the app is not known: a call of send_task_message, or of a send_task that began before instrument_celery
        app = current_app._get_current_object()
    tasks = _for_app(app)
    if tasks is None:
        return
    try:
        # protocol 2 has these fields in the headers, protocol 1 in the body
        facts = headers if "id" in headers or type(body) is not dict else body
        if ATTEMPT in headers:
            del headers[ATTEMPT]
        if PREVIOUS in headers:
            del headers[PREVIOUS]
        eta = facts.get("eta")
        delay = None
        if eta is not None:
            delay = requested_delay(None if publish is None else publish.countdown, eta, app, tasks.send)
        attempt = running_attempt(app, facts.get("id")) if facts.get("retries") else None
        if attempt is not None:
            span = start_retry(tasks, tasks.send_template(app, sender, exchange, routing_key), facts, headers, attempt)
        else:
            frame = start_send(tasks.send_template(app, sender, exchange, routing_key), TaskSendSpan)
            if type(frame) is not TaskSendSpan:
                if frame is not None:
                    _pass_on(tasks.send, frame, headers)
                return
            span = frame
            note(span, facts)
            _inject(tasks.send, span, headers)
        if span is not None:
            span.delay = delay
            if publish is None:  # nothing else would end it
                span.end()
            else:
                publish.span = span
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        tasks.send.tracer.complain("a task could not be traced when it was sent")


def _pass_on(operation: Operation, frame: Any, headers: dict[str, Any]) -> None:
    """Put the context of a trace that is not recorded into a message's headers."""
    if type(frame) is bytes:
        if operation.w3c_only and "traceparent" not in headers and "baggage" not in headers:
            headers["traceparent"] = frame.decode()
            return
        frame = NoopSpan(frame)
    carry(operation.tracer, frame, MappingCarrier(headers))


def _inject(operation: Operation, span: TaskSendSpan, headers: dict[str, Any]) -> None:
    """Put the context of a send span into a message's headers, with the send time."""
    if operation.w3c_only and span.baggage is None and "traceparent" not in headers and "baggage" not in headers:
        headers["traceparent"] = span.identity.decode()
        headers["tracestate"] = send_time.stamp(span.state, sent_ms(span))
        return
    carry(operation.tracer, span, MappingCarrier(headers), sent_ms(span))
