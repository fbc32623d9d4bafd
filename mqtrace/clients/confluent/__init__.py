"""confluent-kafka: producers and consumers, as objects and as classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import confluent_kafka

from mqtrace.clients.proxy import Proxy, class_attributes
from mqtrace.errors import ConfigurationError
from mqtrace.messaging import Facts, MessageAdapter, register
from mqtrace.tracer import SpanTracer

from .consumer import TracedConsumer
from .facts import from_configuration, group_of
from .message import ADAPTER
from .overridden import TracedOverridingProducer, has_own_produce, route_back
from .producer import TracedProducer, TracedSerializingProducer, holds

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
        return TracedConsumer(client, tracer, _with_group(facts, client))
    made: Any = _producer(client.__class__)
    return made(
        client,
        tracer,
        facts,
        callback=options.get("on_delivery"),
        callback_known="on_delivery" in options,
        reported=_all_reported(told),
    )


def _producer(client: type) -> type[TracedProducer]:
    if has_own_produce(client):
        return TracedOverridingProducer
    return TracedSerializingProducer if issubclass(client, confluent_kafka.SerializingProducer) else TracedProducer


def _all_reported(configuration: Mapping[str, Any]) -> bool:
    """Whether a successful send has a report."""
    return str(configuration.get("delivery.report.only.error", "false")).lower() not in ("true", "1")


def _with_group(facts: Facts, consumer: Any) -> Facts:
    return facts if facts.group else facts._replace(group=group_of(consumer))


_classes: dict[type, type] = {}


def _wrap_class(client: type, tracer: SpanTracer | None, options: Mapping[str, Any]) -> type | None:
    if issubclass(client, Proxy):
        return client
    base: type
    if issubclass(client, confluent_kafka.Producer):
        base = _producer(client)
    elif issubclass(client, confluent_kafka.Consumer):
        base = TracedConsumer
    else:
        return None
    plain = tracer is None and not options
    if plain and client in _classes:
        return _classes[client]

    own_init = client.__init__ not in _CONSTRUCTORS

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raw = client(*args, **kwargs)
        configuration = _configuration(args, kwargs)
        configuration.update({name.replace("_", "."): value for name, value in options.items()})
        facts = from_configuration(configuration)
        if base is TracedConsumer:
            # A constructor of its own may have subscribed.
            TracedConsumer.__init__(self, raw, tracer, _with_group(facts, raw), watches=own_init)
            return
        callback = configuration.get("on.delivery", configuration.get("on_delivery"))
        made_of: Any = base
        made_of.__init__(
            self,
            raw,
            tracer,
            facts,
            callback=callback,
            # What a subclass's own constructor makes of its arguments is not known.
            callback_known="on_delivery" in options or (not own_init if callback is None else holds(raw, callback)),
            reported=_all_reported(configuration),
        )
        if client not in _OWN_CLASSES:
            route_back(self, raw)

    attributes = {"__init__": __init__, "__doc__": client.__doc__, "_mqtrace_wraps": client}
    made = type(client.__name__, (base,), {**class_attributes(client, base), **attributes})
    made.__qualname__ = client.__qualname__
    if plain:
        _classes[client] = made
    return made


_OWN_CLASSES: Final = (
    confluent_kafka.Producer,
    confluent_kafka.Consumer,
    confluent_kafka.SerializingProducer,
    confluent_kafka.DeserializingConsumer,
)
#: Constructors that take a configuration and nothing else.
_CONSTRUCTORS: Final = tuple(client.__init__ for client in _OWN_CLASSES)


def _configuration(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a client is configured with: a mapping, by position or as ``conf``, and single settings over it."""
    given = args[0] if args else kwargs.get("conf")
    return {**(given if isinstance(given, Mapping) else {}), **kwargs}
