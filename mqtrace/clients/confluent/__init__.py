"""confluent-kafka: producers and consumers, as objects and as classes.

The client's classes are imported from the modules that define them: ``confluent_kafka.Producer`` may by now be a traced
class, which ``mqtrace run`` has put there, or OpenTelemetry's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka.cimpl import Consumer, Message, Producer
from confluent_kafka.deserializing_consumer import DeserializingConsumer
from confluent_kafka.serializing_producer import SerializingProducer

from mqtrace.clients.instrumented import ours_if_traced, skip_ours_in_class, uninstrumented_method, warn_if_theirs
from mqtrace.clients.options import expect
from mqtrace.clients.proxy import is_traced, stand_in, traced_class, traced_once
from mqtrace.imports import when_imported
from mqtrace.messaging import registry_of
from mqtrace.tracer import SpanTracer

from .consumer import TracedConsumer
from .consumer_state import ConsumerState
from .instrumented import by_keyword, original, skip_ours
from .message import ADAPTER
from .producer import TracedProducer
from .producer_state import ProducerState
from .serializing import TracedSerializingProducer, key_first, produce_serialized
from .signal_errors import INTERRUPTIBLE, interruptible, interruptible_method
from .subclasses import OverridingProducerState, TracedOverridingProducer, overrides_produce

__all__ = ["adapter_of", "traced_consumer", "wrap"]

#: The options of `wrap`: what an instance does not show of its configuration.
_OPTIONS: Final = ("on_delivery", "bootstrap_servers", "client_id", "group_id", "delivery_report_only_error")
#: Constructors that take a configuration and nothing else.
_CONSTRUCTORS: Final = tuple(kind.__init__ for kind in (Producer, Consumer, SerializingProducer, DeserializingConsumer))

#: The adapter of confluent_kafka.Message and its subclasses.
adapter_of = registry_of(Message, ADAPTER)


def wrap(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> Any:
    """The traced client of a producer or consumer, or the traced class of its class; None for anything else."""
    expect(options, _OPTIONS, f"for confluent_kafka write {list(_OPTIONS)}")
    if "confluent_kafka.aio" in sys.modules:  # the application has imported it if the client is one of its
        from . import aio

        traced = aio.wrap(client, tracer, options)
        if traced is not None:
            return traced
    if isinstance(client, type):
        return _wrap_class(client, tracer, options)
    outer, client = client, original(client)
    if is_traced(type(client)):  # traced already, within a proxy of theirs
        return client
    if isinstance(client, Producer):
        return _wrap_producer(client, tracer, options, outer)
    return _wrap_consumer(client, tracer, options, outer) if isinstance(client, Consumer) else None


def _wrap_producer(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any], outer: Any) -> Any:
    """``outer``: a proxy of theirs around the client, or the client."""
    produce: Any = uninstrumented_method(type(client), "produce") if hasattr(type(client), "produce") else None
    if produce is None or "produce" in getattr(client, "__dict__", ()):
        produce = _taking_client(client.produce)  # a method of this object only, or of a test's double
    kind = client.__class__
    _skip_ours_in(kind)
    state = _producer_state(kind, produce, tracer, options, takes_configuration=False)
    if outer is not client:
        theirs = by_keyword(lambda _, *args, **named: outer.produce(*args, **named))
        state.produce = ours_if_traced(state.produce, theirs)
    state.configure((), {})
    state.opened(client)
    bound = {name: interruptible(getattr(client, name)) for name in _interruptible_in(type(client))}
    return stand_in(_methods_for(kind), client, state, bound)


def _wrap_consumer(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any], outer: Any) -> Any:
    state = ConsumerState(tracer, options, learns_topics=True)
    state.configure((), {})
    _skip_ours_in(client.__class__)
    if outer is not client:
        state.outer = outer
    consumer = stand_in(TracedConsumer, client, state)
    state.opened(consumer)
    return consumer


def _wrap_class(client: type, tracer: SpanTracer | None, options: Mapping[str, Any]) -> type | None:
    if not issubclass(client, (Producer, Consumer)):
        return None
    if not is_traced(client):
        _skip_ours_in(client)
    return traced_once(client, lambda: _make_class(client, tracer, options), shared=tracer is None and not options)


def _make_class(client: Any, tracer: SpanTracer | None, options: Mapping[str, Any]) -> type:
    takes_configuration = client.__init__ in _CONSTRUCTORS
    if issubclass(client, Consumer):
        # The constructor of a user's class may subscribe by the client's method.
        learns_topics = not takes_configuration
        return traced_consumer(
            client, TracedConsumer, lambda: ConsumerState(tracer, options, learns_topics=learns_topics)
        )
    produce = uninstrumented_method(client, "produce")
    return traced_class(
        client,
        _methods_for(client),
        lambda: _producer_state(client, produce, tracer, options, takes_configuration=takes_configuration),
        {name: interruptible_method(getattr(Producer, name)) for name in _interruptible_in(client)},
    )


def traced_consumer(client: type, traced: type[TracedConsumer], make_state: Callable[[], ConsumerState]) -> type:
    """The traced class of a consumer's class, with the methods of ``traced``."""
    return traced_class(client, traced, make_state, has_dict=True)


def _methods_for(kind: type[Producer]) -> type[TracedProducer]:
    """The traced methods for a class of producers."""
    if overrides_produce(kind):
        return TracedOverridingProducer
    return TracedSerializingProducer if issubclass(kind, SerializingProducer) else TracedProducer


def _producer_state(
    kind: type[Producer],
    produce: Any,
    tracer: SpanTracer | None,
    options: Mapping[str, Any],
    *,
    takes_configuration: bool,
) -> ProducerState:
    """The state of a producer of this class. ``produce``: of the class, without theirs over it."""
    if overrides_produce(kind):
        return OverridingProducerState(tracer, produce, options)
    present: Any = getattr(kind, "produce", None)  # theirs, or the client's, or none
    theirs = None if present is None or present is uninstrumented_method(kind, "produce") else present
    if issubclass(kind, SerializingProducer):
        produce = produce_serialized if produce is SerializingProducer.produce else key_first(produce)
    if theirs is not None:
        produce = ours_if_traced(produce, by_keyword(theirs))
    return ProducerState(tracer, produce, options, takes_configuration=takes_configuration)


def _skip_ours_in(kind: type) -> None:
    """Warn if the class is theirs, or derives from theirs, and make what they have put over its methods skip ours."""
    if warn_if_theirs("confluent_kafka", kind.__mro__):
        skip_ours_in_class(kind, "confluent_kafka")


def _interruptible_in(kind: type) -> list[str]:
    """The names of the client's methods to make interruptible: those that the class does not override."""
    return [name for name in INTERRUPTIBLE if getattr(kind, name, None) is getattr(Producer, name)]


def _taking_client(method: Any) -> Any:
    """A bound method as a function that takes the client first."""

    def call(_client: Any, *args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    signature = inspect.signature(method)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
    return call


when_imported("opentelemetry.instrumentation.confluent_kafka", skip_ours)
