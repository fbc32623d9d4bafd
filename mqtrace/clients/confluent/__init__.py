"""confluent-kafka: producers and consumers, as objects and as classes.

What a client is, is bound from where it is defined: ``confluent_kafka.Producer`` may be a traced class by now, put in
place for all the code of a process, or OpenTelemetry's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka.cimpl import Consumer, Message, Producer
from confluent_kafka.deserializing_consumer import DeserializingConsumer
from confluent_kafka.serializing_producer import SerializingProducer

from mqtrace.clients.instrumented import defined, either, leave_class, pass_by, say
from mqtrace.clients.options import expect
from mqtrace.clients.proxy import is_traced, stand_in, traced_class, traced_once
from mqtrace.messaging import registry_of
from mqtrace.tracer import SpanTracer

from .consumer import TracedConsumer
from .instrumented import by_name, leave_ours, original
from .message import ADAPTER
from .polls import Polls
from .producer import TracedProducer
from .sends import Sends
from .serializing import TracedSerializingProducer, key_first, produce_serialized
from .signal_errors import INTERRUPTED, interruptible, interruptible_method
from .subclasses import Overriding, TracedOverridingProducer, has_own_produce

__all__ = ["adapter_of", "traced_consumer", "wrap"]

#: What an instance does not show and `wrap` may be told.
_OPTIONS: Final = ("on_delivery", "bootstrap_servers", "client_id", "group_id", "delivery_report_only_error")


#: The adapter of confluent_kafka.Message and its subclasses.
adapter_of = registry_of(Message, ADAPTER)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    expect(options, _OPTIONS, f"for confluent_kafka write {list(_OPTIONS)}")
    if "confluent_kafka.aio" in sys.modules:  # imported by whoever has such a client, not by us
        from . import aio

        made = aio.wrap(client, tracer, options)
        if made is not None:
            return made
    if isinstance(client, type):
        return _wrap_class(client, tracer, options)
    over, client = client, original(client)
    if is_traced(type(client)):  # ours, and theirs over it
        return client
    if isinstance(client, Producer):
        return _wrap_producer(client, tracer, options, over)
    return _wrap_consumer(client, tracer, options, over) if isinstance(client, Consumer) else None


def _wrap_producer(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any], over: Any) -> Any:
    """``over``: a proxy of theirs around the client, or the client."""
    produce: Any = defined(type(client), "produce") if hasattr(type(client), "produce") else None
    if produce is None or "produce" in getattr(client, "__dict__", ()):
        produce = _detached(client.produce)  # a method of the object's own, or what stands for a client in a test
    kind = client.__class__
    if say("confluent_kafka", kind.__mro__):
        leave_class(type(client), "confluent_kafka")
    sends = _sends(kind, produce, tracer, options, constructor=False)
    if over is not client:
        sends.produce = either(sends.produce, by_name(lambda _, *args, **named: over.produce(*args, **named)))
    sends.configure((), {})
    sends.opened(client)
    served = {name: interruptible(getattr(client, name)) for name in INTERRUPTED if _is_the_clients(type(client), name)}
    return stand_in(_traced(kind), client, sends, served)


def _wrap_consumer(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any], over: Any) -> Any:
    polls = Polls(tracer, options, watches=True)
    polls.configure((), {})
    if say("confluent_kafka", type(client).__mro__):
        leave_class(type(client), "confluent_kafka")
    if over is not client:
        polls.over = over
    made = stand_in(TracedConsumer, client, polls)
    polls.opened(made)
    return made


def _wrap_class(client: type, tracer: SpanTracer | None, options: Mapping[str, Any]) -> type | None:
    if not issubclass(client, (Producer, Consumer)):
        return None
    if not is_traced(client) and say("confluent_kafka", client.__mro__):
        leave_class(client, "confluent_kafka")
    return traced_once(client, lambda: _make_class(client, tracer, options), shared=tracer is None and not options)


def _make_class(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> type:
    constructor = client.__init__ in _CONSTRUCTORS
    if issubclass(client, Consumer):
        # A constructor of the user's own may subscribe past us.
        return traced_consumer(client, TracedConsumer, lambda: Polls(tracer, options, watches=not constructor))
    produce = defined(client, "produce")
    served = [name for name in INTERRUPTED if _is_the_clients(client, name)]
    return traced_class(
        client,
        _traced(client),
        lambda: _sends(client, produce, tracer, options, constructor=constructor),
        {name: interruptible_method(getattr(Producer, name)) for name in served},
    )


def traced_consumer(client: type, traced: type[TracedConsumer], state: Callable[[], Polls]) -> type:
    """The traced class of a consumer's class, with the methods of ``traced``."""
    return traced_class(client, traced, state, has_dict=True)


#: Constructors that take a configuration and nothing else.
_CONSTRUCTORS: Final = tuple(kind.__init__ for kind in (Producer, Consumer, SerializingProducer, DeserializingConsumer))


def _traced(kind: type[Producer]) -> type[TracedProducer]:
    """How a class of producers is traced."""
    if has_own_produce(kind):
        return TracedOverridingProducer
    return TracedSerializingProducer if issubclass(kind, SerializingProducer) else TracedProducer


def _sends(
    kind: type[Producer], produce: Any, tracer: SpanTracer | None, options: Mapping[str, Any], *, constructor: bool
) -> Sends:
    """The state of a producer of this class, whose ``produce`` is called with it."""
    if has_own_produce(kind):
        return Overriding(tracer, produce, options)
    over: Any = getattr(kind, "produce", None)  # theirs, or the client's, or nobody's
    theirs = None if over is None or over is defined(kind, "produce") else over
    if issubclass(kind, SerializingProducer):
        produce = produce_serialized if produce is SerializingProducer.produce else key_first(produce)
    if theirs is not None:
        produce = either(produce, by_name(theirs))
    return Sends(tracer, produce, options, constructor=constructor)


def _is_the_clients(kind: type, name: str) -> bool:
    return getattr(kind, name, None) is getattr(Producer, name)


def _detached(method: Any) -> Any:
    """A method that is bound already, to be called with its object all the same."""

    def call(_client: Any, *args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    signature = inspect.signature(method)
    client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    rest = signature.parameters.values()
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by inspect.signature
        parameters=[client, *rest]
    )
    return call


pass_by("opentelemetry.instrumentation.confluent_kafka", leave_ours)
