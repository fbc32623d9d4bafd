"""The two spans of a task: on its way to the broker, and at work.

What a task adds to its template (ids, retries, state) is in slots and becomes attributes when somebody asks, in the
exporter's thread for the most part: a dict a task would be half of what tracing it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from mqtrace.core import SHORT_TEXTS, Attribute, NoopSpan, ProcessSpan, SendSpan
from mqtrace.messaging.attributes import CONVERSATION, DELAY, MESSAGE_ID, REDELIVERED, RETRIES, RETRY_COUNT, STATE

__all__ = ["ATTEMPT", "PREVIOUS", "PassedRun", "TaskRun", "TaskSend", "note", "sent_ms"]

#: The header of a retry that names the attempt before: its traceparent.
PREVIOUS: Final = "mqtrace-previous"
#: The span id that the worker's main process gave an attempt, on its way to the pool's child.
ATTEMPT: Final = "mqtrace-attempt"


class TaskSend(SendSpan):
    """The span of a task's message on its way to the broker."""

    __slots__ = ("delay", "retries", "root_id", "task_id")

    task_id: object
    root_id: object
    retries: object
    #: Seconds asked for by countdown or eta; None without.
    delay: float | None

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """The task's id, its root's, the number of the attempt and the delay."""
        return _common(self)


class TaskRun(ProcessSpan):
    """The span of one attempt at a task."""

    __slots__ = ("ambient", "delay", "key", "redelivered", "retries", "root_id", "state_name", "task_id")

    task_id: object
    root_id: object
    retries: object
    delay: float | None
    redelivered: bool
    #: Celery's name of how it ended; None while it runs.
    state_name: str | None
    #: The exception that was being handled when the task began (eager tasks in an except block): not the task's.
    ambient: BaseException | None
    #: Its key among the attempts that run (state.py).
    key: int

    def extra_attributes(self) -> Mapping[str, Attribute]:
        """Those of the message, and how it ended."""
        own = _common(self)
        if self.redelivered:
            own[REDELIVERED] = True
        if self.state_name is not None:
            own[STATE] = self.state_name
        return own


class PassedRun(NoopSpan):
    """An attempt in a trace that is not sampled: its context, while the task runs."""

    __slots__ = ("key", "task_id")

    task_id: object
    #: As above.
    key: int


# One call instead of four: messages of protocol 2, and whatever Celery has made of another, have all of them.
_of_a_task: Final = itemgetter("id", "root_id", "retries", "eta")


def note(span: TaskSend | TaskRun, message: Any) -> Any:
    """Keep what a message (headers, or a request as Celery keeps it) says of its task. Returns its eta, or None."""
    try:
        span.task_id, root, span.retries, eta = _of_a_task(message)
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


def _weigh(span: TaskSend | TaskRun) -> None:
    """Weigh ids that are long, and let go of what nobody will read: whoever wrote the message wrote what it liked."""
    if type(span.root_id) is not str:
        span.root_id = None
    if type(span.retries) is not int:
        span.retries = None
    if isinstance(span.task_id, (list, dict)):
        span.task_id = None
    texts = [each for each in (span.task_id, span.root_id) if isinstance(each, (str, bytes))]
    if sum(map(len, texts)) > SHORT_TEXTS:
        span.weigh(*texts)


def _common(span: TaskSend | TaskRun) -> dict[str, Attribute]:
    own: dict[str, Attribute] = {}
    length = span.template.pipeline.limits.value_length
    # They are the message's, and whoever wrote it may have written anything.
    if type(span.task_id) is str:
        own[MESSAGE_ID] = span.task_id[:length]
    if type(span.root_id) is str:
        own[CONVERSATION] = span.root_id[:length]
    if type(span.retries) is int:
        own[RETRIES] = span.retries
        if span.retries > 0:
            own[RETRY_COUNT] = span.retries
    if span.delay is not None:
        own[DELAY] = span.delay
    return own


def sent_ms(span: TaskSend) -> int:
    """The start of a span, ms since the epoch."""
    return (span.begun_ns + span.template.pipeline.clock.offset) // 1_000_000
