"""Carriers: native message headers as text. Standard library only; they know neither tracer nor clients.

A propagation format sees nothing but a :class:`Carrier`, so formats and transports add up and do not multiply.
"""

from __future__ import annotations

import collections.abc
from typing import Any, Final, cast

from mqtrace.carriers import _text
from mqtrace.carriers._protocol import PREFIXED, Carrier
from mqtrace.carriers.amqp import AmqpTable
from mqtrace.carriers.http import HttpHeaders, is_environ, is_scope
from mqtrace.carriers.kafka import KafkaHeaders
from mqtrace.carriers.mapping import Mapping

__all__ = ["AmqpTable", "Carrier", "HttpHeaders", "KafkaHeaders", "Mapping", "find", "recognise"]

_FINDERS: Final = frozenset((AmqpTable, HttpHeaders, KafkaHeaders, Mapping))
_PAIRS: Final = (list, tuple)  # made once: `list | tuple` would be a new object at every call


def recognise(native: Any) -> Carrier:
    """The carrier for native headers; a carrier is its own.

    A dict is a :class:`Mapping`, a WSGI environ and an ASGI scope are :class:`HttpHeaders`, and so are the headers of
    an ``http.client`` or ``http.server`` message and mappings that do not mind case (Django's, those of requests).
    Pairs are :class:`HttpHeaders` if their names are bytes, otherwise :class:`KafkaHeaders`, an empty list and None
    too. pika's BasicProperties are an :class:`AmqpTable`. Raises TypeError for anything else.
    """
    if isinstance(native, dict):
        return HttpHeaders(native) if is_environ(native) or is_scope(native) else Mapping(native)
    if isinstance(native, _PAIRS):
        return HttpHeaders(native) if _has_bytes_names(native) else KafkaHeaders(native)
    if native is None:
        return KafkaHeaders(native)
    if isinstance(native, Carrier):
        return native
    if isinstance(native, collections.abc.Mapping):
        return HttpHeaders(native) if _ignores_case(native) else Mapping(native)
    # by name: pika is not imported where it is not used
    if any(kind.__name__ == "BasicProperties" for kind in type(native).__mro__) and hasattr(native, "headers"):
        return AmqpTable(native)
    if hasattr(native, "get_all") and hasattr(native, "items"):  # email.message.Message
        return HttpHeaders(native)
    raise TypeError(
        f"no carrier for {type(native).__name__}: pass a dict, a WSGI environ, an ASGI scope, pika BasicProperties, "
        "a list of (str, bytes | str | None) or of (bytes, bytes) pairs, None, or one of mqtrace.carriers "
        "(KafkaHeaders, AmqpTable, Mapping, HttpHeaders)"
    )


def find(carrier: Carrier, wanted: frozenset[str], prefix: str | None = None) -> dict[str, str | None]:
    """The text of each of the ``wanted`` names that are there; None if it is not text, or too long for any format.

    With ``prefix``, the first names that begin with it are wanted too, as many as a baggage has members. The carriers
    here pass over the headers once for all names: a message may have 60,000. A user's carrier has only four methods.
    """
    if type(carrier) in _FINDERS:
        return carrier.find(wanted, prefix)  # type: ignore[attr-defined,no-any-return]  # one of those
    names = carrier.names()
    prefixed = [name for name in names if name.startswith(prefix)][:PREFIXED] if prefix is not None else []
    return {name: _text.bounded(carrier.get(name)) for name in [*wanted.intersection(names), *prefixed]}


def _ignores_case(native: collections.abc.Mapping[Any, Any]) -> bool:
    """Whether a mapping ignores the case of names, as the HTTP headers of Django or requests do.

    One of its names is looked up in the other case.
    """
    try:
        name = next((key for key in native if isinstance(key, str) and key.swapcase() != key), None)
        return name is not None and name.swapcase() in native
    except Exception:  # noqa: BLE001  # a user's own mapping may raise anything
        return False


def _has_bytes_names(native: list[Any] | tuple[Any, ...]) -> bool:
    """Whether the first pair's name is bytes, as HTTP servers have it, where Kafka's are str."""
    for pair in native:
        if isinstance(pair, tuple | list) and len(pair) == 2:
            return isinstance(cast("tuple[Any, Any]", pair)[0], bytes)
    return False
