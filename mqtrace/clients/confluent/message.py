"""confluent-kafka messages: the context in their headers, the start of their process span.

``begin`` runs once a message and is flat for it. A message knows its topic, but not its consumer; which group it came
to, the wrapped consumers say (consumer.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka.cimpl import TIMESTAMP_NOT_AVAILABLE, Message

from mqtrace.carriers import KafkaHeaders
from mqtrace.core import (
    EMPTY,
    Attribute,
    Context,
    NoopSpan,
    Origin,
    ProcessSpan,
    Template,
    are_canonical,
    child_of,
    innermost_frame,
    is_canonical,
    keep_recent,
    start_process,
    start_process_in,
)
from mqtrace.messaging import DESTINATION, Batch, Operation, register
from mqtrace.propagation import MalformedContext, TraceContext

from . import sources
from .facts import SYSTEM, TOMBSTONE
from .headers import NO_NAME, UNREADABLE, readable, replace_unreadable
from .sends import tombstone

__all__ = ["ADAPTER", "context_of"]

_current = innermost_frame
_W3C: Final = TraceContext()
_SAMPLE: Final = b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01"
_TOMBSTONE: Final[Mapping[str, Attribute]] = {TOMBSTONE: True}
NO_TIMESTAMP: Final = TIMESTAMP_NOT_AVAILABLE


class KafkaMessages:
    """The :class:`~mqtrace.messaging.MessageAdapter` of confluent_kafka.Message."""

    def begin(self, operation: Operation, message: Any) -> ProcessSpan | NoopSpan | None:
        """Start the process span of a message; None for an error event or a partition's end."""
        if message.error() is not None:
            return None
        template = operation.templates.get(message.topic())
        if template is None:
            template = _template(operation, message)
        if message.value() is None:
            template = tombstone(template)
        origin: bytes | None = None
        state = baggage = None
        try:
            headers = message.headers()
            if headers:
                if operation.direct and len(headers) == 1 and "traceparent" in headers[0]:
                    origin = headers[0][1]
                    if origin is not None and (type(origin) is not bytes or not is_canonical(origin)):
                        origin = _extract(operation, headers).identity
                elif NO_NAME not in headers and operation.direct and (found := _plain(headers)) is not None:
                    origin, state = found
                else:
                    context = _extract(operation, headers)
                    if context.decision != "flag":  # B3 left it open, or decided it without a trace
                        return start_process_in(
                            template, context, message.partition(), message.offset(), _sent(message)
                        )
                    origin = context.identity
                    state = context.state
                    baggage = context.baggage
                if (
                    origin is not None
                    and (template.propagate_only or (template.follows_parent_only and not origin[54] & 1))
                    and _current() is None
                ):  # as start_process would, before the message is asked for more
                    return NoopSpan(origin if template.propagate_only else child_of(origin), state, baggage)
        except UNREADABLE as error:
            replace_unreadable(message, error)
            operation.tracer.malformed()
        sort, sent = message.timestamp()
        if sort == NO_TIMESTAMP:
            sent = -1
        return start_process(template, origin, state, baggage, message.partition(), message.offset(), sent)

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        if operation.direct:
            try:
                alike = _collect_alike(messages)
            except UNREADABLE:  # headers that cannot be read: message by message, then
                alike = None
            if alike is not None:
                return alike
        found: list[tuple[bytes, Any]] = []
        topics: dict[Any, None] = {}
        count = 0
        direct = operation.direct
        first: Any = None
        for message in messages:
            if message is None or message.error() is not None:
                continue
            count += 1
            if first is None:  # a message is false where its value is empty
                first = message
            topics[message.topic()] = None
            headers = readable(operation, message)
            if not headers:
                continue
            origin = headers[0][1] if direct and len(headers) == 1 and headers[0][0] == "traceparent" else None
            if type(origin) is not bytes or not is_canonical(origin):
                plain = _plain(headers) if direct else None
                origin = _extract(operation, headers).identity if plain is None else plain[0]
                if origin is None:
                    continue
            found.append((origin, message))
        if not count:
            return None
        single = next(iter(topics))
        several = len(topics) > 1
        origins: list[Origin] = []
        for origin, message in found:
            own: dict[str, Attribute] = {}
            if several and (topic := message.topic()) is not None:
                own[DESTINATION] = topic
            if message.value() is None:
                own[TOMBSTONE] = True
            origins.append((origin, message.partition(), message.offset(), own or None))
        return Batch(SYSTEM, None if several else single, count, origins, sources.facts_of(first, single), {})


def _collect_alike(messages: Iterable[Any]) -> Batch | None:
    """A batch of one topic whose messages all carry a good traceparent and nothing else; None where one does not."""
    origins: list[Origin] = []
    identities: list[bytes] = []
    first = topic = None
    for message in messages:
        if message is None or message.error() is not None:
            return None
        if message.topic() != topic:
            if first is not None:
                return None
            first = message
            topic = message.topic()
        try:
            (pair,) = message.headers()
        except (TypeError, ValueError):  # None, or more than one
            return None
        if "traceparent" not in pair or type(identity := pair[1]) is not bytes:
            return None
        identities.append(identity)
        own = _TOMBSTONE if message.value() is None else None
        origins.append((identity, message.partition(), message.offset(), own))
    if first is None or not are_canonical(identities):
        return None
    return Batch(SYSTEM, topic, len(origins), origins, sources.facts_of(first, topic), {})


def context_of(operation: Operation, message: Any) -> Context:
    """The context in a message's headers."""
    headers = readable(operation, message)
    return _extract(operation, headers) if headers else EMPTY


# Texts of tracestate that were parsed and are valid: a sampler's threshold is the same in message after message.
_states: dict[bytes, str] = {}
_KEPT: Final = 256


def _plain(headers: Any) -> tuple[bytes | None, str | None] | None:
    """Traceparent and tracestate where they are good and there is no baggage; None where it takes the parsers to say.

    Of several headers of a name the last wins, which is what a dict makes of them.
    """
    try:
        found = dict(headers)
    except (TypeError, ValueError):
        return None
    if "baggage" in found:
        return None
    origin = found.get("traceparent")
    if origin is None:
        # none at all, which is plain; or a null, which is counted
        return None if "traceparent" in found else (None, None)
    if type(origin) is not bytes or not is_canonical(origin):
        return None
    if "tracestate" not in found:
        return origin, None
    state = found["tracestate"]
    known = _states.get(state) if type(state) is bytes else None
    if known is None:
        parsed = _parse_state(state)
        if parsed is None:
            return None
        keep_recent(_states, state, parsed, _KEPT)
        known = parsed
    return origin, known


def _parse_state(state: Any) -> str | None:
    """A tracestate that the parser would give back to the letter."""
    if type(state) is not bytes or len(state) > 256 or not state.isascii():
        return None
    try:
        return _W3C.extract(KafkaHeaders([("traceparent", _SAMPLE), ("tracestate", state)]), EMPTY).state
    except MalformedContext:
        return None


def _extract(operation: Operation, headers: Any) -> Context:
    """The context in headers that are more than one good traceparent. Never raises."""
    tracer = operation.tracer
    try:
        return tracer.propagator.extract(KafkaHeaders(headers), EMPTY, tracer.malformed)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        tracer.complain("the headers of a message could not be read")
        return EMPTY


def _sent(message: Any) -> int:
    """When the message was sent, ms since the epoch; -1 where the broker does not say."""
    sort, sent = message.timestamp()
    return -1 if sort == NO_TIMESTAMP else int(sent)


def _template(operation: Operation, message: Any) -> Template:
    topic = message.topic()
    if not isinstance(topic, str):  # a message that a test made by hand may have none
        topic = None
    facts = sources.facts_of(message, topic)
    shared = topic is None or sources.is_shared(topic)
    return operation.make(None if shared else topic, SYSTEM, "process", topic, facts)


ADAPTER: Final = KafkaMessages()
register(Message, ADAPTER)
