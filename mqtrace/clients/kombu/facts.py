"""Which broker a kombu connection talks to.

kombu speaks to many: ``Transport.driver_type`` names the one behind a connection, "amqp" for RabbitMQ. A ``Connection``
knows its transport and its host before it has connected, so nothing is asked of a broker.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from mqtrace.clients.amqp import RABBITMQ
from mqtrace.messaging import NOTHING_KNOWN, Facts

from .rejects import note_rejects

__all__ = ["UNKNOWN", "Broker", "broker_of_channel", "broker_of_connection"]

# driver_type -> `messaging.system` (semantic conventions 1.44), where the two differ
_SYSTEMS: Final = {
    "amqp": RABBITMQ,
    "sqs": "aws_sqs",
    "SQS": "aws_sqs",
    "azureservicebus": "servicebus",
    "gcpubsub": "gcp_pubsub",
}
# These have no host: what the connection says there is a default.
_LOCAL: Final = frozenset({"memory", "filesystem"})


class Broker(NamedTuple):
    """A broker as spans say it. ``key`` is one text for the keys of templates, which hashes once."""

    system: str
    facts: Facts
    key: str


#: Of a message without a channel.
UNKNOWN: Final = Broker("kombu", NOTHING_KNOWN, "")


def broker_of_connection(connection: Any) -> Broker:
    """The broker of a kombu.Connection; UNKNOWN where it does not say."""
    try:
        transport = connection.transport
        driver = str(transport.driver_type)
        system = _SYSTEMS.get(driver, driver)
        if system in _LOCAL:
            return Broker(system, NOTHING_KNOWN, system)
        host = connection.hostname if isinstance(connection.hostname, str) else None
        port = connection.port or getattr(transport, "default_port", None)
        if host is not None and "://" in host:  # a transport whose URL is its own business
            host, port = None, None
        facts = Facts(address=host or None, port=port if isinstance(port, int) else None)
        return Broker(system, facts, f"{system}:{facts.address}:{facts.port}")
    except Exception:  # noqa: BLE001  # a transport of somebody's own may lack anything
        return UNKNOWN


_channels: WeakKeyDictionary[Any, Broker] = WeakKeyDictionary()


def broker_of_channel(channel: Any) -> Broker:
    """The broker of a channel, asked for once; from then on the channel notes what it rejects."""
    try:
        found = _channels.get(channel)
        if found is None:
            found = _channels[channel] = broker_of_connection(channel.connection.client)
            note_rejects(channel)
        return found
    except (AttributeError, TypeError):  # no channel, or one that is closed, or that takes no weak reference
        return UNKNOWN
