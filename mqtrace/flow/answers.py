"""What the answers look like: plain dicts, ready for ``json.dumps``.

A name is a str that somebody else wrote: it may hold markup, control characters, escapes of a terminal, right-to-left
text; it is shown as text and never interpreted. A time (``start``, ``oldest``) is RFC 3339 in UTC with six digits
(``2026-11-29T16:55:01.123456Z``). ``_ms`` are milliseconds (float), ``_s`` seconds. Counts are of what was recorded;
``weighted`` is the estimate of how many there were, where a sampler left out some (equal to the count, where none did).
"""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = [
    "ErrorRow",
    "FailureRow",
    "FlowRow",
    "LinkOf",
    "Map",
    "MissingRow",
    "ReceivedRow",
    "SentRow",
    "State",
    "StepRow",
    "TraceAnswer",
    "TraceRow",
    "TraceSpan",
]


class State(TypedDict):
    """How the source is doing: what stands in the head of the page."""

    #: What was opened, without user and password.
    source: str
    #: "topic", "file", "duckdb", "page", "clickhouse" or "memory".
    kind: str
    #: The number of spans.
    spans: int
    #: When the first span began and the last one ended; None if there are none.
    oldest: str | None
    newest: str | None
    #: Seconds since the last span ended; None if there are none.
    age_s: float | None
    #: What has been written and is not read yet: messages of a topic, bytes of a file; 0 when all is read, None if that
    #: is unknown or nothing is read (DuckDB, ClickHouse).
    behind: int | None
    #: The share of traces that was sampled, 0 to 1; None if no span has a sampler's threshold.
    sampled: float | None
    #: Messages that were not OTLP, and spans without valid ids, since the source was opened.
    messages_malformed: int
    spans_malformed: int
    #: What is wrong now, in a sentence ("no Kafka broker answers at ..."); None if all is well. Questions are answered
    #: from the spans that were read before.
    trouble: str | None
    #: The window of a question that names none, seconds; None: all spans.
    window_s: float | None


class SentRow(TypedDict):
    """An arrow of the map from a service to a destination."""

    #: None if the writer did not name its service.
    service: str | None
    destination: str
    #: `messaging.system`: "kafka", "rabbitmq", "redis"...; None if the span has none.
    system: str | None
    messages: int
    weighted: float
    #: Sends that failed.
    errors: int


class ReceivedRow(TypedDict):
    """An arrow of the map from a destination to a service, for one subscription."""

    #: As the receiver names it. On AMQP that is the sent name, followed by the queue.
    destination: str
    #: The destination of the node that the arrow leaves: of a :class:`SentRow` with which this name begins, if any.
    node: str
    service: str | None
    #: The consumer group (Kafka), else the queue, else the service.
    subscription: str | None
    system: str | None
    #: Deliveries: attempts at a message, each message of a batch counted.
    messages: int
    weighted: float
    #: Attempts that failed; attempts that were not the first; attempts at messages from a dead-letter exchange.
    errors: int
    retries: int
    dead_letters: int
    #: Quantiles of the wait in the queue, None if the receiver did not measure it; and of the duration of its spans.
    wait_p50_ms: float | None
    wait_p99_ms: float | None
    work_p50_ms: float | None
    work_p99_ms: float | None


class Map(TypedDict):
    """All arrows. ``seconds``: of the window, for rates; None if nothing is in it."""

    sent: list[SentRow]
    received: list[ReceivedRow]
    seconds: float | None


class FlowRow(TypedDict):
    """Who sent to whom: a pair of services, by destination and subscription.

    ``receiver`` None: messages without a delivery among the spans, failed sends included: only there is ``send_errors``
    above 0. ``sender`` None: messages whose send is not among the spans.
    """

    sender: str | None
    sent_to: str | None
    taken_from: str | None
    receiver: str | None
    subscription: str | None
    system: str | None
    #: The number of messages, and of attempts at them.
    messages: int
    deliveries: int
    send_errors: int
    #: Attempts that failed; attempts that were not the first; attempts at dead letters.
    errors: int
    retries: int
    dead_letters: int
    wait_p50_ms: float | None
    wait_p99_ms: float | None
    work_p50_ms: float | None
    work_p99_ms: float | None


class MissingRow(TypedDict):
    """Messages that a subscription owes, by destination and state.

    ``state``: one of :data:`mqtrace.flow.STATES`, whose sentence says what is known. None: a partial reader, which
    handles under 90 % of the destination, as a filter does; ``share`` (0 to 1) is what it handled, ``messages`` what it
    did not, and that is no list of missing messages. Of other rows ``share`` is None.
    """

    sent_to: str
    subscription: str | None
    state: str | None
    messages: int
    oldest: str
    #: The trace id of one of them, the oldest.
    example: str
    share: float | None


class TraceRow(TypedDict):
    """A trace of a list. ``root``: the name of its first span; ``services``: names; ``errors``: spans that failed."""

    trace_id: str
    root: str
    start: str
    duration_ms: float
    spans: int
    services: list[str]
    errors: int


class LinkOf(TypedDict):
    """A link of a span to another one, usually the message's context."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class TraceSpan(TypedDict):
    """A span of one trace, or a guest: a batch's span of another trace that took a message of this one."""

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str | None
    name: str
    #: "internal", "server", "client", "producer", "consumer".
    kind: str
    start: str
    duration_ms: float
    #: Values are str, bool, int, float, lists and dicts of them; None if OTLP says none. Cut at 64 KB, and then the
    #: text ends in "... (cut at 64 KB)".
    attributes: dict[str, Any]
    #: Since the start of the trace, by its earliest span that is not a guest; below zero for a guest that began before.
    offset_ms: float
    #: ns since the epoch: above 2**53, so JavaScript has to do with ``offset_ms``.
    start_ns: int
    #: "unset", "ok", "error"; what went wrong, in a few words, where it did.
    status: str
    error: str | None
    status_description: str | None
    destination: str | None
    partition: str | None
    #: How long the message waited before this span; measured by the receiver, else from the start of the send. None for
    #: spans that took no message.
    wait_ms: float | None
    wait_measured: bool
    guest: bool
    #: Attempts before this one; 0 of the first.
    retry: int
    dead_letter: bool
    #: Messages of a batch span; None of others.
    batch: int | None
    #: {"name": str, "timestamp_ns": int, "offset_ms": float, "attributes": {...}} each.
    events: list[dict[str, Any]]
    links: list[LinkOf]
    trace_state: str | None


class TraceAnswer(TypedDict):
    """One trace. ``spans``: parents before children, siblings by their start, guests behind what they link to.

    A span whose parent is not there stands among the roots. ``omitted``: spans beyond the 10,000 that are kept.
    """

    trace_id: str
    root: str
    start: str
    duration_ms: float
    services: list[str]
    errors: int
    spans: list[TraceSpan]
    omitted: int


class FailureRow(TypedDict):
    """Retries and dead letters of a subscription, one row a dead letter's reason (None: its retries)."""

    destination: str
    service: str | None
    subscription: str | None
    system: str | None
    #: Attempts that were not the first, the messages that they were of, and how many of these succeeded in the end.
    retries: int
    messages: int
    recovered: int
    #: Messages that came back through a dead-letter exchange; from which queue, and why ("rejected", "expired", ...).
    dead_letters: int
    dead_letter_queue: str | None
    dead_letter_reason: str | None
    #: The most attempts at one message, its first included.
    attempts: int
    #: Most frequent `error.type` of the attempts before; None if none failed.
    error_type: str | None
    #: The trace id of the newest of them.
    example: str


class ErrorRow(TypedDict):
    """Spans that failed, by what went wrong; sends and deliveries. ``example``: the newest one's trace id."""

    service: str | None
    destination: str | None
    kind: str
    error_type: str | None
    messages: int
    example: str


class StepRow(TypedDict):
    """One step of a series: what was sent and taken in it, and how long that waited. ``start``: of the step."""

    start: str
    sent: int
    received: int
    errors: int
    wait_p50_ms: float | None
    wait_p99_ms: float | None
