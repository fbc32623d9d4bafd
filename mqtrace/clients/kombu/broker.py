"""Which broker a kombu connection talks to.

kombu speaks to many: ``Transport.driver_type`` names the one behind a connection, "amqp" for RabbitMQ. A ``Connection``
knows its transport and its host before it has connected, so nothing is asked of a broker.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from mqtrace.messaging import NOTHING_KNOWN, Endpoint
from mqtrace.messaging.brokers import LOCAL, server_of, system_of

__all__ = ["UNKNOWN", "Broker", "broker_of_connection"]


class Broker(NamedTuple):
    """A broker as spans say it. ``key`` is one text for the keys of templates, which hashes once."""

    system: str
    endpoint: Endpoint
    key: str


#: Of a message without a channel.
UNKNOWN: Final = Broker("kombu", NOTHING_KNOWN, "")


def broker_of_connection(connection: Any) -> Broker:
    """The broker of a kombu.Connection; UNKNOWN where it does not say."""
    try:
        system = system_of(connection)
        if system in LOCAL:
            return Broker(system, NOTHING_KNOWN, system)
        address, port = server_of(connection)
        return Broker(system, Endpoint(address=address, port=port), f"{system}:{address}:{port}")
    except Exception:  # noqa: BLE001  # a transport of somebody's own may lack anything
        return UNKNOWN
