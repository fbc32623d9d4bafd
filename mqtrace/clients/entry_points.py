"""Clients from outside: entry points of the group ``mqtrace.clients``, one object a client. See docs/own-client.md.

The name of an entry point is the import name of the client's library. They are loaded when the first type comes by that
nobody here knows, all at once and once.
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

__all__ = ["GROUP", "Client", "EntryPointClient", "client_of", "loaded", "named"]

log = logging.getLogger("mqtrace")

GROUP: Final = "mqtrace.clients"


class Client(Protocol):
    """What an entry point of the group is: an object, or a module, with these names."""

    #: What ``wrap`` takes: classes, and with them their objects.
    types: Iterable[type]
    #: The types of its messages.
    messages: Iterable[type]

    def headers(self, message: Any) -> Any:
        """The headers of a message: a carrier or a native object that one recognises (see ``Tracer.extract``)."""

    def describe(self, message: Any) -> tuple[str, str | None, Mapping[str, Attribute]]:
        """``messaging.system``, ``messaging.destination.name``, and further attributes of a message."""
        ...

    def wrap(self, client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
        """The same kind of client, traced. ``client``: one of :attr:`types` or an object of one. None: neither."""


class EntryPointClient:
    """A client from outside, in the place of a module of ours."""

    def __init__(self, client: Client) -> None:
        self.types = tuple(client.types)
        self.messages = tuple(client.messages)
        if not all(isinstance(kind, type) for kind in (*self.types, *self.messages)):
            raise TypeError("types and messages are classes")
        self.wrap = client.wrap
        self._adapter = _Messages(client)

    def adapter_of(self, kind: type) -> MessageAdapter | None:
        """What reads messages of this type; None where it is none of this client's."""
        if not issubclass(kind, self.messages):
            return None
        register(kind, self._adapter)
        return self._adapter


class _Messages:
    """The :class:`~mqtrace.messaging.MessageAdapter` of a client from outside."""

    def __init__(self, client: Client) -> None:
        self._headers, self._describe = client.headers, client.describe

    def begin(self, operation: Operation, message: Any) -> ProcessSpan | NoopSpan | None:
        """Start the process span of a message."""
        system, destination, extra_attributes = self._describe(message)
        key = (GROUP, system, destination)
        template = operation.templates.get(key)
        if template is None:
            template = operation.make(key, system, "process", destination)
        context, sent = self._context(operation, message)
        span = note_skew(start_process_in(template, context, -1, -1, sent, ProcessSpan), sent)
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
        """The context of a message, and when it was sent (ms since the epoch)."""
        context = operation.tracer.extract(self._headers(message))
        state, sent = send_time.take(context.state)
        return (context if state == context.state else context.replace(state=state)), sent


def _clean(attributes: Mapping[str, Any]) -> dict[str, Attribute]:
    return {key: good for key, value in attributes.items() if (good := clean(value, None)) is not None}


_loaded: dict[str, EntryPointClient] | None = None
_loading: Final = ForkSafeLock()


def loaded() -> Mapping[str, EntryPointClient]:
    """The clients from outside, by the name of their entry point. One that cannot be loaded is one warning."""
    global _loaded
    with _loading.lock:  # reentrant: what is loaded may hand us something that nobody knows
        if _loaded is None:
            _loaded = {}
            _loaded.update({name: made for name, point in named().items() if (made := _load(point)) is not None})
        return _loaded


def named() -> dict[str, EntryPoint]:
    """The entry points of the group, by name; nothing is imported."""
    try:
        return {point.name.replace("-", "_"): point for point in entry_points(group=GROUP)}
    except Exception:  # what is installed beside may be broken, and the application goes on
        log.warning("mqtrace: the entry points of %s cannot be read", GROUP, exc_info=True)
        return {}


def _load(point: EntryPoint) -> EntryPointClient | None:
    try:
        return EntryPointClient(point.load())
    except Exception as error:  # noqa: BLE001  # somebody else's code: the application goes on without this client
        log.warning("mqtrace: the client %s (%s) cannot be loaded: %r", point.name, point.value, error)
        return None


def client_of(kind: type) -> EntryPointClient | None:
    """The client from outside whose client or message this type is; None where there is none."""
    for client in loaded().values():
        if issubclass(kind, (*client.types, *client.messages)):
            return client
    return None
