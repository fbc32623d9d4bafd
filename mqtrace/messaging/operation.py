"""An operation of a client: the templates of its spans, and the endpoint that the client is.

An :class:`Operation` is made once for a wrapped client or a handler; it returns the :class:`~mqtrace.core.Template` of
each destination, and follows the default tracer when that is replaced.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Final, Literal, NamedTuple
from weakref import WeakSet

from mqtrace import tracer as tracers
from mqtrace.core import Attribute, ForkSafeLock, Kind, Relation, Template, keep_recent, text
from mqtrace.tracer import SpanTracer

from . import attributes as names

__all__ = ["NOTHING_KNOWN", "Endpoint", "Operation", "OperationType", "as_text", "forget", "shared_operation"]

#: `messaging.operation.type`.
OperationType = Literal["create", "send", "receive", "process", "settle"]

_KINDS: Final[Mapping[OperationType, Kind]] = {
    "create": "producer",
    "send": "producer",
    "receive": "client",
    "process": "consumer",
    "settle": "client",
}
# A client that invents destinations (a reply queue for each request) must not make the process grow.
_DESTINATIONS: Final = 2048


def as_text(name: object) -> str:
    """The name of a destination as clients send it: of a member of a (str, Enum) its value, which ``str()`` is not."""
    value = text(name)
    return str(name) if value is None else value


class Endpoint(NamedTuple):
    """One end of a queue: the client, its group, its broker. A field that is None has no attribute."""

    client_id: str | None = None
    group: str | None = None
    address: str | None = None
    port: int | None = None

    def attributes(self) -> Mapping[str, Attribute]:
        """The fields as attributes of a span."""
        named: dict[str, Attribute | None] = {
            names.CLIENT_ID: self.client_id,
            names.GROUP: self.group,
            names.SERVER_ADDRESS: self.address,
            names.SERVER_PORT: self.port,
        }
        return {key: value for key, value in named.items() if value is not None}


#: The endpoint of a client of which nothing is known.
NOTHING_KNOWN: Final = Endpoint()


class Operation:
    """One operation of one client or handler. The hot path looks into ``templates``, which ``make`` fills.

    ``tracer``: whose spans it makes; None: the default tracer's, whichever that is. ``name``: the whole span name, if
    the user chose one. ``relation``: of a process span to its message; None: as the tracer was configured.
    """

    __slots__ = ("__weakref__", "_bound", "_guard", "name", "relation", "templates", "tracer", "verb", "w3c_only")

    #: By the client's key: a topic, or an exchange and routing key.
    templates: dict[Hashable, Template]
    #: The tracer whose templates these are.
    tracer: SpanTracer
    #: Whether a message needs nothing but W3C headers, so that a client may write and read them by itself.
    w3c_only: bool

    def __init__(
        self,
        verb: str,
        tracer: SpanTracer | None = None,
        *,
        relation: Relation | None = None,
        name: str | None = None,
    ) -> None:
        self.verb = verb
        self.name = name
        self.relation: Relation | None = relation
        self._bound = tracer is not None
        self._guard = ForkSafeLock()
        with _registering.lock:
            _operations.add(self)
        self._follow(tracers.default() if tracer is None else tracer)
        if tracer is None:
            tracers.follow(self)
            # configure() may have run between the two lines above
            self.follow(tracers.default())

    def follow(self, tracer: SpanTracer) -> None:
        """Make the spans of ``tracer`` from now on, the new default one, unless the operation is bound to another."""
        if not self._bound and tracer is not self.tracer:
            self._follow(tracer)

    def _follow(self, tracer: SpanTracer) -> None:
        with self._guard.lock:
            self.tracer = tracer
            self.w3c_only = tracer.propagator.is_w3c
            self.templates = {}

    def forget(self, key: Hashable) -> None:
        """Drop a template, because its attributes no longer hold."""
        with self._guard.lock:
            self.templates.pop(key, None)

    def make(
        self,
        key: Hashable | None,
        system: str,
        type: OperationType,
        destination: str | None,
        endpoint: Endpoint = NOTHING_KNOWN,
        extra: Mapping[str, Attribute] | None = None,
        *,
        kind: Kind | None = None,
        verb: str | None = None,
    ) -> Template:
        """Make the template of a destination. It is kept under ``key``, unless that is None."""
        verb = verb or self.verb
        if destination is not None:
            destination = as_text(destination)
        attributes: dict[str, Attribute] = {
            names.SYSTEM: system,
            names.OPERATION_NAME: verb,
            names.OPERATION_TYPE: type,
        }
        if destination is not None:
            attributes[names.DESTINATION] = destination
        attributes.update(endpoint.attributes())
        attributes.update(extra or {})
        name = self.name or (verb if destination is None else f"{verb} {destination}")
        with self._guard.lock:
            template = self.tracer.template(
                name, kind or _KINDS[type], attributes, destination=destination, relation=self.relation
            )
            if key is not None and not template.weight:
                keep_recent(self.templates, key, template, _DESTINATIONS)
        return template


def shared_operation(tracer: SpanTracer, verb: str) -> Operation:
    """An operation that all clients of a tracer share, kept by the tracer."""
    operation: Operation | None = tracer.operations.get(verb)
    if operation is not None:
        return operation
    shared: Operation = tracer.operations.setdefault(verb, Operation(verb, tracer))
    return shared


#: Every operation there is. Reentrant: a signal handler may wrap a client while another one is wrapped.
_operations: WeakSet[Operation] = WeakSet()
_registering = ForkSafeLock()


def forget(keys: Iterable[Hashable]) -> None:
    """Drop the templates of these keys in every operation of every tracer, because their attributes no longer hold."""
    with _registering.lock:
        operations = list(_operations)
    for key in keys:
        for operation in operations:
            operation.forget(key)
