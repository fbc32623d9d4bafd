"""The send span of a task's message.

- ``before_task_publish`` gives the headers that will be sent, a dict of Celery's own: what a user passed is merged
  into it.
- No signal tells that a publish failed, and none says which app publishes. ``Celery.send_task``, which every way to
  send a task goes through, is the one place that knows both, so it is called within a frame of ours
  (docs/rationale.md). It tells what ``after_task_publish`` would, so that is not asked for: a signal costs 1.3 us.
- A retry is a publish too, and what is its own is in retries.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from celery import Celery, current_app  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.carriers import Mapping as MappingCarrier
from mqtrace.core import NoopSpan, start_send
from mqtrace.messaging import Operation, carry, end, send_time

from .delays import asked_for
from .retries import attempt_at_work, start_retry
from .spans import ATTEMPT, PREVIOUS, TaskSend, note, sent_ms
from .state import INSTRUMENTATION

__all__ = ["before_publish", "hook", "publishes", "publishing_app", "unhook"]


class _Publish:
    """A call of ``send_task``: the app, the countdown, whether the signal was sent, and the span, if one is recorded.

    An object that is changed, since setting a context variable costs more than the three.
    """

    __slots__ = ("app", "countdown", "span", "told")

    def __init__(self, app: Any, countdown: object) -> None:
        self.app = app
        self.countdown = countdown
        self.told = False
        self.span: TaskSend | None = None


_sending: ContextVar[_Publish | None] = ContextVar("mqtrace_celery_sending", default=None)
_for_app = INSTRUMENTATION.for_app
_get_sending = _sending.get
_set_sending = _sending.set
_reset_sending = _sending.reset


def publishes() -> bool:
    """Whether a task is being sent right now."""
    return _get_sending() is not None


def publishing_app() -> Any:
    """The app that publishes now; the current one where nobody says which it is."""
    publish = _get_sending()
    return current_app._get_current_object() if publish is None else publish.app


# ---------------------------------------------------------------------- the hook


def hook() -> None:
    """Have ``Celery.send_task`` say who publishes, and end the span, also of a publish that fails."""
    INSTRUMENTATION.replace(Celery, send_task)


def send_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in the place of ``Celery.send_task``."""
    replaced = INSTRUMENTATION.replaced

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if replaced.get("send_task") is not original:  # taken away, but somebody holds on to it
            return original(self, *args, **kwargs)
        publish = _Publish(self, kwargs.get("countdown"))
        token = _set_sending(publish)
        try:
            result = original(self, *args, **kwargs)
            if publish.span is not None:
                publish.span.end()  # within: a signal's handler may raise before this has begun, as beat's does
        except BaseException as error:
            _reset_sending(token)
            # where the signal was sent, what there is to tell has been decided
            span = publish.span if publish.told else _never_made(self, args, kwargs)
            if span is not None:
                end(span, error)
            raise
        _reset_sending(token)
        return result

    return call


def unhook() -> None:
    """Put ``Celery.send_task`` back."""
    INSTRUMENTATION.put_back(Celery, "send_task")


def _never_made(app: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskSend | None:
    """The span of a publish that failed before there was a message, so before any signal: no result store, no route.

    It begins when it fails.
    """
    tasks = _for_app(app)
    if tasks is None:
        return None
    try:
        frame = start_send(tasks.unsent_template(app, args[0] if args else kwargs.get("name")), TaskSend)
        if type(frame) is not TaskSend:
            return None
        note(frame, {"id": kwargs.get("task_id"), **{key: kwargs.get(key) for key in ("root_id", "retries", "eta")}})
    except Exception:  # noqa: BLE001  # the caller is to get the error of the publish, not ours
        tasks.sends.tracer.complain("a publish that failed could not be traced")
        return None
    return frame


# ---------------------------------------------------------------------- the signals


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
    if publish is not None and not publish.told:
        publish.told = True
        app = publish.app
    else:
        publish = None
        # A caller of send_task_message, or a send_task that was on its way when the configuration, read by it, called
        # instrument_celery. Nobody says which app it is.
        app = current_app._get_current_object()
    tasks = _for_app(app)
    if tasks is None:
        return
    try:
        # protocol 2 says all of this in the headers, protocol 1 in the body
        facts = headers if "id" in headers or type(body) is not dict else body
        if ATTEMPT in headers:
            del headers[ATTEMPT]
        if PREVIOUS in headers:
            del headers[PREVIOUS]
        eta = facts.get("eta")
        wait = None if eta is None else asked_for(None if publish is None else publish.countdown, eta, app, tasks.sends)
        attempt = attempt_at_work(app, facts.get("id")) if facts.get("retries") else None
        if attempt is not None:
            span = start_retry(tasks, tasks.send_template(app, sender, exchange, routing_key), facts, headers, attempt)
        else:
            frame = start_send(tasks.send_template(app, sender, exchange, routing_key), TaskSend)
            if type(frame) is not TaskSend:
                if frame is not None:
                    _pass_on(tasks.sends, frame, headers)
                return
            span = frame
            note(span, facts)
            _inject(tasks.sends, span, headers)
        if span is not None:
            span.delay = wait
            if publish is None:  # nobody would tell of its end
                span.end()
            else:
                publish.span = span
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        tasks.sends.tracer.complain("a task could not be traced when it was sent")


def _pass_on(operation: Operation, frame: Any, headers: dict[str, Any]) -> None:
    """Put the context of a trace that is not recorded into a message's headers."""
    if type(frame) is bytes:
        if operation.w3c_only and "traceparent" not in headers and "baggage" not in headers:
            headers["traceparent"] = frame.decode()
            return
        frame = NoopSpan(frame)
    carry(operation.tracer, frame, MappingCarrier(headers))


def _inject(operation: Operation, span: TaskSend, headers: dict[str, Any]) -> None:
    """Put the context of a send span into a message's headers, with the send time."""
    if operation.w3c_only and span.baggage is None and "traceparent" not in headers and "baggage" not in headers:
        headers["traceparent"] = span.identity.decode()
        headers["tracestate"] = send_time.stamp(span.state, sent_ms(span))
        return
    carry(operation.tracer, span, MappingCarrier(headers), sent_ms(span))
