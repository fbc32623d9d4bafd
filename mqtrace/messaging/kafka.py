"""What the clients of Kafka share: the broker's address, the context in the headers, a message without a value.

- The headers of a record are pairs of text and bytes in order. A name may repeat: the last header of a name counts.
- A broker keeps the time of every record, so no send time travels with the context.
- The group that reads a message is known only from its consumer (consumers.py).

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
    "BatchMember",
    "batch_of",
    "endpoint_of",
    "extract",
    "links_of",
    "receive",
    "server_of",
    "template_of",
    "tombstone",
    "w3c_context",
    "with_context",
    "with_context_in_list",
]

#: `messaging.system`.
SYSTEM: Final = "kafka"

_PORT: Final = 9092
_BROKER: Final = re.compile(r"^(?:[A-Za-z_]+://)?(\[[^\]]+\]|[^:,]+)(?::(\d+))?$")

#: The headers of a context in W3C's formats.
_CONTEXT: Final = frozenset(("traceparent", "tracestate", "baggage"))


def server_of(bootstrap: object) -> Server:
    """The first bootstrap server, the only address that is known without asking a broker.

    ``bootstrap``: ``host:port,host:port``, as in librdkafka's configuration, or a sequence of such texts.
    """
    if isinstance(bootstrap, (list, tuple)):
        bootstrap = bootstrap[0] if bootstrap else None
    match = _BROKER.match(bootstrap.split(",")[0].strip()) if isinstance(bootstrap, str) else None
    return NOWHERE if match is None else Server(match[1].strip("[]"), int(match[2]) if match[2] else _PORT)


def endpoint_of(configuration: Mapping[str, Any]) -> Endpoint:
    """The endpoint of a client with this configuration, whose options have the names of Kafka's clients in Python."""
    client_id, group = configuration.get("client_id"), configuration.get("group_id")
    return Endpoint(
        client_id if isinstance(client_id, str) else None,
        group if isinstance(group, str) else None,
        *server_of(configuration.get("bootstrap_servers")),
    )


def template_of(operation: Operation, message: object, topic: object) -> Template:
    """Make the process template of a message of this topic. It is kept unless several groups read the topic here."""
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

    ``headers``: a list of pairs, a dict or None. Anything else is returned as it is: the client will refuse it.
    """
    if operation.w3c_only and span.baggage is None and span.identity is not None:
        appended = _appended(span, [] if headers is None else headers)
        if appended is not None:
            return appended
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
    """The same for a client whose headers are None or a list of pairs of text and bytes.

    ``span``: as ``start_send`` returns it. Headers that are not a list are returned as they are: the client refuses
    them.
    """
    if span is None or (headers is not None and not isinstance(headers, list)):
        return headers
    if not headers and operation.w3c_only:
        if isinstance(span, bytes):
            return [("traceparent", span)]
        if span.identity is not None and span.state is None and span.baggage is None:
            return [("traceparent", span.identity)]
    return with_context(operation, NoopSpan(span) if isinstance(span, bytes) else span, headers)


def _appended(span: Span | NoopSpan, headers: Any) -> Any:
    """The user's headers and the context, if none of them is one of W3C's; None if they must be parsed."""
    try:
        if not _CONTEXT.isdisjoint(dict(headers)):
            return None
    except (TypeError, ValueError):  # these are not pairs: the client will refuse them
        return None
    traceparent = ("traceparent", span.identity)
    context_headers = [traceparent] if span.state is None else [traceparent, ("tracestate", span.state.encode())]
    if type(headers) is list:
        return headers + context_headers
    return {**headers, **dict(context_headers)} if type(headers) is dict else None


# ---------------------------------------------------------------------- the context in the headers, on the way in

_W3C: Final = TraceContext()
_SAMPLE: Final = b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01"
# Valid texts of tracestate, parsed: message after message has the same one, with a sampler's threshold.
_states: dict[bytes, str] = {}
_MAX_STATES: Final = 256


def w3c_context(headers: Any) -> tuple[bytes | None, str | None] | None:
    """Traceparent and tracestate, if both are canonical and there is no baggage; None if the parsers must read them.

    Of several headers of a name the last one counts, as in a dict of them.
    """
    try:
        by_name = dict(headers)
    except (TypeError, ValueError):
        return None
    if "baggage" in by_name:
        return None
    origin = by_name.get("traceparent")
    if origin is None:
        # there is no such header, or it has no value, which the parsers count as malformed
        return None if "traceparent" in by_name else (None, None)
    if type(origin) is not bytes or not is_canonical(origin):
        return None
    if "tracestate" not in by_name:
        return origin, None
    state = by_name["tracestate"]
    parsed = _states.get(state) if type(state) is bytes else None
    if parsed is None:
        parsed = _parse_state(state)
        if parsed is None:
            return None
        keep_recent(_states, state, parsed, _MAX_STATES)
    return origin, parsed


def _parse_state(state: Any) -> str | None:
    """The tracestate if the parser returns exactly its text; None for any other."""
    if type(state) is not bytes or len(state) > 256 or not state.isascii():
        return None
    try:
        return _W3C.extract(KafkaHeaders([("traceparent", _SAMPLE), ("tracestate", state)]), EMPTY).state
    except MalformedContext:
        return None


def extract(operation: Operation, headers: Any) -> Context:
    """The context in headers, read by the parsers. Never raises."""
    tracer = operation.tracer
    try:
        return tracer.propagator.extract(KafkaHeaders(headers), EMPTY, tracer.malformed)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        tracer.complain("the headers of a message could not be read")
        return EMPTY


# ---------------------------------------------------------------------- batches

#: A message of a batch: its identity or None, its topic, whether it is a tombstone, its partition and its offset.
BatchMember = tuple[bytes | None, Any, bool, int, int]


def batch_of(first: object, members: Sequence[BatchMember]) -> Batch | None:
    """A batch of these members; None if there are none. ``first``: a message, by which its consumer is looked up."""
    if not members:
        return None
    destination, origins = links_of(members)
    return Batch(SYSTEM, destination, len(members), origins, consumers.endpoint_of(first, members[0][1]), {})


def receive(
    operation: Operation, endpoint: Endpoint, begun_ns: int, members: Sequence[BatchMember], *, batch: bool
) -> None:
    """Make the receive span of a poll, unless it returned no message. ``batch``: whether the span counts them."""
    if members:
        destination, origins = links_of(members)
        size = len(members) if batch else None
        opt_in.receive(operation, SYSTEM, destination, endpoint, begun_ns, origins, size)


def links_of(members: Sequence[BatchMember]) -> tuple[str | None, list[Origin]]:
    """The topic of all members, or None if there are several, and the links. They have topics if there are several."""
    topics = {topic for _, topic, _, _, _ in members}
    several = len(topics) > 1
    origins: list[Origin] = []
    for identity, topic, is_tombstone, partition, offset in members:
        if identity is None:
            continue
        attributes: dict[str, Attribute] = {}
        if several and topic is not None:
            attributes[DESTINATION] = topic
        if is_tombstone:
            attributes[TOMBSTONE] = True
        origins.append((identity, partition, offset, attributes or None))
    return None if several else topics.pop(), origins
