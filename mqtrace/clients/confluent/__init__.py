"""confluent-kafka: producers and consumers, as objects and as classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import confluent_kafka

from mqtrace.clients.proxy import Proxy
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import MessageAdapter, register
from mqtrace.tracer import SpanTracer

from .consumer import TracedConsumer
from .facts import from_configuration, group_of
from .message import ADAPTER
from .producer import TracedProducer, TracedSerializingProducer, traced

__all__ = ["adapter_of", "wrap"]

#: What an instance does not show and `wrap` may be told.
_OPTIONS: Final = ("on_delivery", "bootstrap_servers", "client_id", "group_id", "delivery_report_only_error")


def adapter_of(kind: type) -> MessageAdapter | None:
    """The adapter of confluent_kafka.Message and its subclasses."""
    if issubclass(kind, confluent_kafka.Message):
        register(kind, ADAPTER)
        return ADAPTER
    return None


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    unknown = options.keys() - set(_OPTIONS)
    if unknown:
        raise ConfigurationError(f"wrap() does not know {sorted(unknown)}: for confluent_kafka write {list(_OPTIONS)}")
    if isinstance(client, type):
        return _wrap_class(client, tracer, options)
    if not isinstance(client, (confluent_kafka.Producer, confluent_kafka.Consumer)):
        return None
    told = {name.replace("_", "."): value for name, value in options.items() if name != "on_delivery"}
    facts = from_configuration(told)
    if isinstance(client, confluent_kafka.Consumer):
        return TracedConsumer(client, tracer, facts if facts.group else facts._replace(group=group_of(client)))
    return traced(client, tracer, facts, **_reporting(options, told))


def _reporting(options: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    only_errors = str(configuration.get("delivery.report.only.error", "false")).lower() in ("true", "1")
    return {
        "callback": options.get("on_delivery"),
        "callback_known": "on_delivery" in options,
        "reported": not only_errors,
    }


_classes: dict[type, type] = {}


def _wrap_class(client: type, tracer: SpanTracer | None, options: Mapping[str, Any]) -> type | None:
    if issubclass(client, Proxy):
        return client
    if issubclass(client, confluent_kafka.SerializingProducer):
        base: type = TracedSerializingProducer
    elif issubclass(client, confluent_kafka.Producer):
        base = TracedProducer
    elif issubclass(client, confluent_kafka.Consumer):
        base = TracedConsumer
    else:
        return None
    plain = tracer is None and not options
    if plain and client in _classes:
        return _classes[client]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raw = client(*args, **kwargs)
        configuration: dict[str, Any] = {**(args[0] if args and isinstance(args[0], Mapping) else {}), **kwargs}
        configuration.update({name.replace("_", "."): value for name, value in options.items()})
        facts = from_configuration(configuration)
        if base is TracedConsumer:
            TracedConsumer.__init__(self, raw, tracer, facts)
            return
        callback = configuration.get("on.delivery", configuration.get("on_delivery", configuration.get("dr_cb")))
        made_of: Any = base
        made_of.__init__(self, raw, tracer, facts, **_reporting({"on_delivery": callback}, configuration))

    made = type(client.__name__, (base,), {"__init__": __init__, "__doc__": client.__doc__, "_mqtrace_wraps": client})
    made.__qualname__ = client.__qualname__
    if plain:
        _classes[client] = made
    return made
