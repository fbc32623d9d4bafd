"""Which broker a kombu connection talks to.

kombu supports many: ``Transport.driver_type`` names the one of a connection, "amqp" for RabbitMQ. A ``Connection`` has
its transport and its host before it has connected, so no broker is needed to read them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from mqtrace.messaging import NOTHING_KNOWN, Endpoint
from mqtrace.messaging.brokers import LOCAL, server_of, system_of

__all__ = ["UNKNOWN", "Broker", "broker_of_connection"]


class Broker(NamedTuple):
    """A broker as spans name it. ``key``: the same as one text, for the keys of templates: it is hashed once."""

    system: str
    endpoint: Endpoint
    key: str


#: The broker of a message without a channel.
UNKNOWN: Final = Broker("kombu", NOTHING_KNOWN, "")


def broker_of_connection(connection: Any) -> Broker:
    """The broker of a kombu.Connection; UNKNOWN if that cannot be read."""
    try:
        system = system_of(connection)
        if system in LOCAL:
            return Broker(system, NOTHING_KNOWN, system)
        address, port = server_of(connection)
        return Broker(system, Endpoint(address=address, port=port), f"{system}:{address}:{port}")
    except Exception:  # noqa: BLE001  # a user's own transport may lack anything
        return UNKNOWN
