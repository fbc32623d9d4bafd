"""Clients of other distributions: entry points of the group ``mqtrace.clients``, one a client. See docs/own-client.md.

The name of an entry point is the import name of the client's library. All of them are loaded once, when `wrap` or a
handler first meets a type that is not of a library in ``_MODULES``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol

from mqtrace.core import Attribute, Context, ForkSafeLock, NoopSpan, ProcessSpan, clean, note_skew, start_process_in
from mqtrace.messaging import NOTHING_KNOWN, Batch, MessageAdapter, Operation, register, send_time
from mqtrace.messaging.amqp import BatchMember, batch_of
from mqtrace.tracer import SpanTracer

__all__ = ["GROUP", "Client", "EntryPointClient", "client_of", "entry_points_by_name", "load_clients"]

log = logging.getLogger("mqtrace")

GROUP: Final = "mqtrace.clients"


class Client(Protocol):
    """What an entry point of the group loads: an object, or a module, with these names."""

    #: The classes that ``wrap`` takes, and whose objects it takes.
    types: Iterable[type]
    #: The types of its messages.
    messages: Iterable[type]

    def headers(self, message: Any) -> Any:
        """The headers of a message: a carrier or a native object that one recognises (see ``Tracer.extract``)."""

    def describe(self, message: Any) -> tuple[str, str | None, Mapping[str, Attribute]]:
        """``messaging.system``, ``messaging.destination.name``, and other attributes of a message."""
        ...

    def wrap(self, client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
        """The same kind of client, traced; None if ``client`` is neither one of :attr:`types` nor an object of one."""


class EntryPointClient:
    """A client of another distribution, with the functions that a module in ``_MODULES`` has."""

    def __init__(self, client: Client) -> None:
        self.types = tuple(client.types)
        self.messages = tuple(client.messages)
        if not all(isinstance(kind, type) for kind in (*self.types, *self.messages)):
            raise TypeError("types and messages are classes")
        self.wrap = client.wrap
        self._adapter = _Messages(client)

    def adapter_of(self, kind: type) -> MessageAdapter | None:
        """The adapter of messages of this type; None if they are not this client's."""
        if not issubclass(kind, self.messages):
            return None
        register(kind, self._adapter)
        return self._adapter


class _Messages:
    """The :class:`~mqtrace.messaging.MessageAdapter` of a client of another distribution."""

    def __init__(self, client: Client) -> None:
        self._headers, self._describe = client.headers, client.describe

    def begin(self, operation: Operation, message: Any) -> ProcessSpan | NoopSpan | None:
        """Start the process span of a message."""
        system, destination, extra_attributes = self._describe(message)
        key = (GROUP, system, destination)
        template = operation.templates.get(key)
        if template is None:
            template = operation.make(key, system, "process", destination)
        context, sent_ms = self._context(operation, message)
        span = note_skew(start_process_in(template, context, -1, -1, sent_ms, ProcessSpan), sent_ms)
        if extra_attributes:
            span.set_attributes(extra_attributes)
        return span

    def collect(self, operation: Operation, messages: Iterable[Any]) -> Batch | None:
        """Read the contexts of a batch."""
        members: list[BatchMember] = []
        system = ""
        for message in messages:
            system, destination, extra_attributes = self._describe(message)
            members.append((self._context(operation, message)[0].identity, destination or "", _clean(extra_attributes)))
        return batch_of(system, members, NOTHING_KNOWN) if members else None

    def _context(self, operation: Operation, message: Any) -> tuple[Context, int]:
        """The context of a message, and the time when it was sent, in ms since the epoch."""
        context = operation.tracer.extract(self._headers(message))
        state, sent_ms = send_time.take(context.state)
        return (context if state == context.state else context.replace(state=state)), sent_ms


def _clean(attributes: Mapping[str, Any]) -> dict[str, Attribute]:
    return {key: cleaned for key, value in attributes.items() if (cleaned := clean(value, None)) is not None}


_loaded: dict[str, EntryPointClient] | None = None
_loading: Final = ForkSafeLock()


def load_clients() -> Mapping[str, EntryPointClient]:
    """The clients of other distributions by the names of their entry points. One that cannot be loaded is a warning."""
    global _loaded
    with _loading.lock:  # reentrant: a module that is loaded may call `wrap` with a type that is not known
        if _loaded is None:
            _loaded = {}
            clients = ((name, _load(point)) for name, point in entry_points_by_name().items())
            _loaded.update({name: client for name, client in clients if client is not None})
        return _loaded


def entry_points_by_name() -> dict[str, EntryPoint]:
    """The entry points of the group by name, none of them imported."""
    try:
        return {point.name.replace("-", "_"): point for point in entry_points(group=GROUP)}
    except Exception:  # another distribution may be broken, and the application goes on
        log.warning("mqtrace: the entry points of %s cannot be read", GROUP, exc_info=True)
        return {}


def _load(point: EntryPoint) -> EntryPointClient | None:
    try:
        return EntryPointClient(point.load())
    except Exception as error:  # noqa: BLE001  # not our code: the application goes on without this client
        log.warning("mqtrace: the client %s (%s) cannot be loaded: %r", point.name, point.value, error)
        return None


def client_of(kind: type) -> EntryPointClient | None:
    """The client of another distribution whose client or message this type is; None if there is none."""
    for client in load_clients().values():
        if issubclass(kind, (*client.types, *client.messages)):
            return client
    return None
