"""What the configuration of a confluent-kafka client tells the attributes of spans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqtrace.messaging import Endpoint, kafka

__all__ = ["configuration_of", "from_configuration", "group_of"]


def configuration_of(args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in the arguments of a constructor: a mapping (the first, or ``conf``) and single settings.

    ``options``: those of ``wrap``, which count for more.
    """
    configuration = args[0] if args else kwargs.get("conf")
    settings = {name.replace("_", "."): value for name, value in options.items()}
    return {**(configuration if isinstance(configuration, Mapping) else {}), **kwargs, **settings}


def from_configuration(configuration: Mapping[str, Any]) -> Endpoint:
    """Client id, group, and the first bootstrap server: the only address that is known without asking a broker."""
    bootstrap = configuration.get("bootstrap.servers") or configuration.get("metadata.broker.list")
    address, port = kafka.server_of(bootstrap)
    return Endpoint(_text(configuration.get("client.id")), _text(configuration.get("group.id")), address, port)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def group_of(consumer: Any) -> str | None:
    """The group of a consumer whose configuration is not known, from its group metadata; None if that cannot be read.

    The bytes are librdkafka's (rd_kafka_consumer_group_metadata_write): "CGMDv2:", the generation in four bytes, the
    group's name up to a zero byte. Reading them asks no broker.
    """
    try:
        data = consumer.consumer_group_metadata()
    except Exception:  # noqa: BLE001  # a closed consumer, another version: the group stays unknown
        return None
    if not isinstance(data, bytes) or not data.startswith(b"CGMDv2:"):
        return None
    name, end, _ = data[11:].partition(b"\0")
    try:
        return name.decode() or None if end else None
    except UnicodeDecodeError:
        return None
