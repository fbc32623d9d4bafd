"""The two spans of a task: of its message on the way to the broker, and of an attempt at it.

What a task adds to its template (ids, retries, state) is in slots, and becomes attributes when it is read, mostly in
the exporter's thread: a dict for each task would be half of what tracing it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from mqtrace.core import SHORT_TEXTS, Attribute, NoopSpan, ProcessSpan, SendSpan
from mqtrace.messaging.attributes import CONVERSATION, DELAY, MESSAGE_ID, REDELIVERED, RETRIES, RETRY_COUNT, STATE

__all__ = ["ATTEMPT", "PREVIOUS", "AttemptSpan", "TaskSendSpan", "UnsampledAttempt", "note", "sent_ms"]

#: The header of a retry that holds the traceparent of the attempt before.
PREVIOUS: Final = "mqtrace-previous"
#: The span id that the worker's main process chose for an attempt, in the request that goes to the pool's child.
ATTEMPT: Final = "mqtrace-attempt"


class TaskSendSpan(SendSpan):
    """The span of a task's message on the way to the broker."""

    __slots__ = ("delay", "retries", "root_id", "task_id")

    task_id: object
    root_id: object
    retries: object
    #: The seconds that a countdown or an eta asks for, or None.
    delay: float | None

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """The task's id, its root's, the number of the attempt and the delay."""
        return _common(self)


class AttemptSpan(ProcessSpan):
    """The span of one attempt at a task."""

    __slots__ = ("ambient", "delay", "key", "redelivered", "retries", "root_id", "state_name", "task_id")

    task_id: object
    root_id: object
    retries: object
    delay: float | None
    redelivered: bool
    #: Celery's name of the state in which it ended; None while it runs.
    state_name: str | None
    #: The exception that was handled already when the task began (an eager task in an except block): not the task's.
    ambient: BaseException | None
    #: Its key among the running attempts (state.py).
    key: int

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """Those of the message, whether it is redelivered, and the state."""
        attributes = _common(self)
        if self.redelivered:
            attributes[REDELIVERED] = True
        if self.state_name is not None:
            attributes[STATE] = self.state_name
        return attributes


class UnsampledAttempt(NoopSpan):
    """An attempt in a trace that is not sampled: its context, while the task runs."""

    __slots__ = ("key", "task_id")

    task_id: object
    #: As of an :class:`AttemptSpan`.
    key: int


# One call instead of four: messages of protocol 2, and what Celery makes of other messages, have all of them.
_fields_of: Final = itemgetter("id", "root_id", "retries", "eta")


def note(span: TaskSendSpan | AttemptSpan, message: Any) -> Any:
    """Fill the slots from a message's headers, or from the fields of a request. Returns the eta, or None."""
    try:
        span.task_id, root, span.retries, eta = _fields_of(message)
    except KeyError:
        get = message.get
        span.task_id, root, span.retries, eta = get("id"), get("root_id"), get("retries"), get("eta")
    span.root_id = root = root or span.task_id
    span.delay = None
    if not (
        type(root) is str
        and type(span.task_id) is str
        and type(span.retries) is int
        and len(root) + len(span.task_id) <= SHORT_TEXTS
    ):
        _weigh(span)
    return eta


def _weigh(span: TaskSendSpan | AttemptSpan) -> None:
    """Weigh long ids, and drop values that become no attribute: the sender may have written anything."""
    if type(span.root_id) is not str:
        span.root_id = None
    if type(span.retries) is not int:
        span.retries = None
    if isinstance(span.task_id, (list, dict)):
        span.task_id = None
    texts = [value for value in (span.task_id, span.root_id) if isinstance(value, (str, bytes))]
    if sum(map(len, texts)) > SHORT_TEXTS:
        span.weigh(*texts)


def _common(span: TaskSendSpan | AttemptSpan) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {}
    length = span.template.pipeline.limits.value_length
    # the values are the message's, whose sender may have written anything
    if type(span.task_id) is str:
        attributes[MESSAGE_ID] = span.task_id[:length]
    if type(span.root_id) is str:
        attributes[CONVERSATION] = span.root_id[:length]
    if type(span.retries) is int:
        attributes[RETRIES] = span.retries
        if span.retries > 0:
            attributes[RETRY_COUNT] = span.retries
    if span.delay is not None:
        attributes[DELAY] = span.delay
    return attributes


def sent_ms(span: TaskSendSpan) -> int:
    """The start of a span, ms since the epoch."""
    return (span.begun_ns + span.template.pipeline.clock.offset) // 1_000_000
