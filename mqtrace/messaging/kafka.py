"""What the clients of Kafka share: the broker's address, the context in the headers, a message without a value.

- A record's headers are pairs of a text and bytes, which keep their order and may repeat a name: the last one counts.
- A broker keeps the time of every record, so no send time travels with the context.
- Which group a message came to only its consumer knows (consumers.py).

No client library is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mqtrace.carriers import KafkaHeaders
from mqtrace.core import EMPTY, Attribute, Context, NoopSpan, Origin, Span, Template, is_canonical, keep_recent
from mqtrace.propagation import MalformedContext, TraceContext

from . import consumers, opt_in
from .attributes import DESTINATION, TOMBSTONE
from .batch import Batch
from .brokers import NOWHERE, Server
from .headers import carry
from .operation import Endpoint, Operation

__all__ = [
    "SYSTEM",
    "Found",
    "batch_of",
    "endpoint_of",
    "extract",
    "links_of",
    "plain_context",
    "receive",
    "server_of",
    "template_of",
    "tombstone",
    "with_context",
    "with_context_in_list",
]

#: `messaging.system`.
SYSTEM: Final = "kafka"

_PORT: Final = 9092
_BROKER: Final = re.compile(r"^(?:[A-Za-z_]+://)?(\[[^\]]+\]|[^:,]+)(?::(\d+))?$")

#: The names that may say a context, in W3C's formats.
_CONTEXT: Final = frozenset(("traceparent", "tracestate", "baggage"))


def server_of(bootstrap: object) -> Server:
    """The first bootstrap server, the only address that is known without asking a broker.

    ``bootstrap``: ``host:port,host:port`` as librdkafka has it, or a sequence of such texts.
    """
    if isinstance(bootstrap, (list, tuple)):
        bootstrap = bootstrap[0] if bootstrap else None
    match = _BROKER.match(bootstrap.split(",")[0].strip()) if isinstance(bootstrap, str) else None
    return NOWHERE if match is None else Server(match[1].strip("[]"), int(match[2]) if match[2] else _PORT)


def endpoint_of(given: Mapping[str, Any]) -> Endpoint:
    """What a client says of itself that was given these, by the names of Kafka's clients in Python."""
    client_id, group = given.get("client_id"), given.get("group_id")
    return Endpoint(
        client_id if isinstance(client_id, str) else None,
        group if isinstance(group, str) else None,
        *server_of(given.get("bootstrap_servers")),
    )


def template_of(operation: Operation, message: object, topic: object) -> Template:
    """The process template of a message of this topic, made; kept, unless several groups read the topic here."""
    if not isinstance(topic, str):  # a message that a test made by hand may have none
        topic = None
    endpoint = consumers.endpoint_of(message, topic)
    shared = topic is None or consumers.is_shared(topic)
    return operation.make(None if shared else topic, SYSTEM, "process", topic, endpoint)


def tombstone(template: Template) -> Template:
    """The same operation on a message without a value (`messaging.kafka.message.tombstone`)."""
    if template.tombstone is None:
        template.tombstone = template.with_attribute(TOMBSTONE, True)
    return template.tombstone


# ---------------------------------------------------------------------- the context in the headers, on the way out


def with_context(operation: Operation, span: Span | NoopSpan, headers: Any) -> Any:
    """The user's headers with the context of a send span in them: a copy, or the object itself if nothing is added.

    ``headers``: a list of pairs, a dict or None. Anything else is left to the client, which will refuse it.
    """
    if operation.w3c_only and span.baggage is None and span.identity is not None:
        simple = _beside(span, [] if headers is None else headers)
        if simple is not None:
            return simple
    if isinstance(headers, list):
        copy: Any = list(headers)
    elif isinstance(headers, dict):
        copy = dict(headers)
    elif headers is None:
        copy = []
    else:
        return headers
    try:
        carrier = KafkaHeaders(copy)
        return carrier.native if carry(operation.tracer, span, carrier) else headers
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        operation.tracer.complain("headers that cannot be read are sent as they are")
        return headers


def with_context_in_list(operation: Operation, span: Span | NoopSpan | bytes | None, headers: Any) -> Any:
    """The same for a client whose headers are a list of pairs of a text and bytes, or None.

    ``span``: as ``start_send`` returns it. What is no list the client will refuse, so nothing of it is repaired.
    """
    if span is None or (headers is not None and not isinstance(headers, list)):
        return headers
    if not headers and operation.w3c_only:
        if isinstance(span, bytes):
            return [("traceparent", span)]
        if span.identity is not None and span.state is None and span.baggage is None:
            return [("traceparent", span.identity)]
    return with_context(operation, NoopSpan(span) if isinstance(span, bytes) else span, headers)


def _beside(span: Span | NoopSpan, headers: Any) -> Any:
    """The user's headers and the context, where none of them is one of W3C's; None where that is not so simple."""
    try:
        if not _CONTEXT.isdisjoint(dict(headers)):
            return None
    except (TypeError, ValueError):  # no pairs: the client says what it thinks of them
        return None
    own = (
        [("traceparent", span.identity)]
        if span.state is None
        else [
            ("traceparent", span.identity),
            ("tracestate", span.state.encode()),
        ]
    )
    if type(headers) is list:
        return headers + own
    return {**headers, **dict(own)} if type(headers) is dict else None


# ---------------------------------------------------------------------- and on the way in

_W3C: Final = TraceContext()
_SAMPLE: Final = b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01"
# Texts of tracestate that were parsed and are valid: a sampler's threshold is the same in message after message.
_states: dict[bytes, str] = {}
_KEPT: Final = 256


def plain_context(headers: Any) -> tuple[bytes | None, str | None] | None:
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


def extract(operation: Operation, headers: Any) -> Context:
    """The context in headers that are more than one good traceparent. Never raises."""
    tracer = operation.tracer
    try:
        return tracer.propagator.extract(KafkaHeaders(headers), EMPTY, tracer.malformed)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        tracer.complain("the headers of a message could not be read")
        return EMPTY


# ---------------------------------------------------------------------- batches

#: A message of a batch: its identity or None, its topic, whether it has no value, its partition and its offset.
Found = tuple[bytes | None, Any, bool, int, int]


def batch_of(first: object, found: Sequence[Found]) -> Batch | None:
    """A batch, whose first message says which consumer read it; None if there is no message."""
    if not found:
        return None
    destination, origins = links_of(found)
    return Batch(SYSTEM, destination, len(found), origins, consumers.endpoint_of(first, found[0][1]), {})


def receive(operation: Operation, endpoint: Endpoint, begun_ns: int, found: Sequence[Found], *, batch: bool) -> None:
    """The receive span of a poll that returned these messages; none if there are none. ``batch``: it says how many."""
    if found:
        destination, origins = links_of(found)
        size = len(found) if batch else None
        opt_in.receive(operation, SYSTEM, destination, endpoint, begun_ns, origins, size)


def links_of(found: Sequence[Found]) -> tuple[str | None, list[Origin]]:
    """The topic of all of them (None: several) and the links: each says which topic, if there are several."""
    topics = {topic for _, topic, _, _, _ in found}
    several = len(topics) > 1
    origins: list[Origin] = []
    for identity, topic, is_tombstone, partition, offset in found:
        if identity is None:
            continue
        own: dict[str, Attribute] = {}
        if several and topic is not None:
            own[DESTINATION] = topic
        if is_tombstone:
            own[TOMBSTONE] = True
        origins.append((identity, partition, offset, own or None))
    return None if several else topics.pop(), origins
