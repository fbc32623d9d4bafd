"""A confluent-kafka consumer that is traced: its messages' process spans know its group.

``poll`` and ``consume`` are the client's own methods, untouched, so that an empty poll costs what it did. There are
three exceptions: a receive span is asked for; one process reads a topic in two groups (sources.py); or the topics have
to be learned from the messages, because the client subscribed before it was wrapped, or to a pattern that only
librdkafka can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from mqtrace.clients.proxy import Proxy, is_the_users
from mqtrace.core import BatchSpan, NoopSpan, Origin, Span, current_frame, start
from mqtrace.messaging import DESTINATION, Facts, Operation
from mqtrace.tracer import SpanTracer, follow

from . import sources
from .facts import SYSTEM
from .message import context_of

__all__ = ["TracedConsumer"]


class TracedConsumer(Proxy):
    """See docs/kafka.md. Made by :func:`mqtrace.wrap`."""

    _slots = frozenset(
        {
            "_raw",
            "_receive",
            "_settle",
            "_last",
            "_noting",
            "_bound",
            "_chosen",
            "_watches",
            "_subscribed",
            "facts",
            "topics",
            "poll",
            "consume",
            "commit",
        }
    )
    facts: Facts
    topics: set[str]

    def __init__(self, raw: Any, tracer: SpanTracer | None, facts: Facts, *, watches: bool = True) -> None:
        self.facts = facts
        self.topics = set()
        self._subscribed: list[Any] = []
        self._chosen: dict[str, Callable[..., Any]] = {}
        self._last: tuple[Any, ...] = ()
        self._noting = False
        #: Whether it learns its topics from its messages.
        self._watches = watches
        self._receive = Operation("poll", tracer)
        self._settle = Operation("commit", tracer)
        self._raw = raw
        self._bind()
        follow(_Rebinder(self))

    # ------------------------------------------------------------------ what the traced calls are

    def _bind(self) -> None:
        """Choose the methods: the client's own where nothing has to be done."""
        settings = self._receive.tracer.settings
        watched = self._noting or self._watches or (settings.receive_spans and not settings.disabled)
        self._method("poll", self._poll if watched else self._raw.poll)
        self._method("consume", self._consume if watched else self._raw.consume)
        settled = settings.settle_spans and not settings.disabled
        self._method("commit", self._commit if settled else self._raw.commit)

    def _method(self, name: str, method: Callable[..., Any]) -> None:
        self._chosen[name] = method
        if not is_the_users(type(self), name):
            object.__setattr__(self, name, method)

    def _way(self, name: str) -> Callable[..., Any]:
        return self._chosen.get(name) or super()._way(name)

    def _poll(self, *args: Any, **kwargs: Any) -> Any:
        begun = self._receive.tracer.pipeline.clock.now()
        message = self._raw.poll(*args, **kwargs)
        if message is None:
            self._last = ()
            return None
        self._last = (message,)
        if self._watches:
            self._learn([message])
        self._received(begun, [message], batch=False)
        return message

    def _consume(self, *args: Any, **kwargs: Any) -> Any:
        begun = self._receive.tracer.pipeline.clock.now()
        messages = self._raw.consume(*args, **kwargs)
        self._last = tuple(messages)
        if self._watches:
            self._learn(messages)
        self._received(begun, messages, batch=True)
        return messages

    def _received(self, begun: int, messages: list[Any], *, batch: bool) -> None:
        """The receive span of a poll that gave something: CLIENT, linked to every message."""
        operation = self._receive
        tracer = operation.tracer
        if not tracer.settings.receive_spans or tracer.settings.disabled:
            return
        try:
            real = [message for message in messages if message.error() is None]
            if not real:
                return
            topics = {message.topic() for message in real}
            destination = topics.pop() if len(topics) == 1 else None
            template = operation.templates.get(destination)
            if template is None:
                template = operation.make(destination, SYSTEM, "receive", destination, self.facts)
            span = start(template, current_frame(), BatchSpan)
            if isinstance(span, NoopSpan):
                return
            span.begun = begun
            origins: list[Origin] = []
            for message in real:
                origin = context_of(operation, message).identity
                if origin is not None:
                    own = None if destination is not None else {DESTINATION: message.topic()}
                    origins.append((origin, message.partition(), message.offset(), own))
            span.origins = origins
            if batch:
                span.set_attribute("messaging.batch.message_count", len(real))
            span.end()
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            tracer.complain("a receive span could not be made")

    def _commit(self, *args: Any, **kwargs: Any) -> Any:
        """The settle span of a commit: CLIENT."""
        operation = self._settle
        template = operation.templates.get("")
        if template is None:
            template = operation.make("", SYSTEM, "settle", None, self.facts)
        with start(template, current_frame(), Span):
            return self._raw.commit(*args, **kwargs)

    # ------------------------------------------------------------------ which topics it reads

    def subscribe(self, topics: Any, *args: Any, **kwargs: Any) -> Any:
        """``subscribe`` of the client; its callbacks are given this consumer, as they would be given the client."""
        result = self._raw.subscribe(
            topics,
            *[self._with_this(callback) for callback in args],
            **{name: self._with_this(callback) for name, callback in kwargs.items()},
        )
        self._subscribed = list(topics)
        self._reads(topics)
        self._watch(not all(sources.is_readable(topic) for topic in self._subscribed))
        return result

    def _with_this(self, callback: Any) -> Any:
        return _Rebalance(self, callback) if callable(callback) else callback

    def unsubscribe(self) -> Any:
        """``unsubscribe`` of the client."""
        self._subscribed = []  # what was fetched may still be handled: its topics stay known
        return self._raw.unsubscribe()

    def assign(self, partitions: Any, /) -> Any:
        """``assign`` of the client. In a callback of ``subscribe`` the subscription stays what it was."""
        result = self._raw.assign(partitions)
        self._reads([*self._subscribed, *(one.topic for one in partitions)])
        if not self._subscribed:
            self._watch(False)
        return result

    def incremental_assign(self, partitions: Any, /) -> Any:
        """``incremental_assign`` of the client."""
        result = self._raw.incremental_assign(partitions)
        self._reads([*self.topics, *(one.topic for one in partitions)])
        return result

    def _reads(self, topics: Any) -> None:
        try:
            sources.add(self, [topic for topic in topics if isinstance(topic, str)])
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self._receive.tracer.complain("the topics of a consumer could not be noted")

    def _watch(self, watches: bool) -> None:
        if watches is not self._watches:
            self._watches = watches
            self._bind()

    def _learn(self, messages: list[Any]) -> None:
        try:
            new = {message.topic() for message in messages if message.error() is None} - self.topics
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self._receive.tracer.complain("the topics of a consumer could not be noted")
            return
        if new:
            self._reads([*self.topics, *new])

    def came(self, message: object) -> bool:
        """Whether the last poll or consume gave this message."""
        return any(one is message for one in self._last)

    def note(self) -> None:
        """Note from now on what is polled."""
        if not self._noting:
            self._noting = True
            self._bind()

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """``close`` of the client."""
        result = self._raw.close(*args, **kwargs)
        self._last = ()
        sources.drop(self)
        return result

    def __enter__(self) -> TracedConsumer:
        self._raw.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        result = self._raw.__exit__(*exception)
        sources.drop(self)
        return result


class _Rebalance:
    """A callback of ``subscribe`` that is given the traced consumer, which it does not keep alive."""

    __slots__ = ("callback", "consumer")

    def __init__(self, consumer: TracedConsumer, callback: Callable[..., Any]) -> None:
        self.consumer = ref(consumer)
        self.callback = callback

    def __call__(self, raw: Any, partitions: Any) -> Any:
        consumer = self.consumer()
        return self.callback(raw if consumer is None else consumer, partitions)


class _Rebinder:
    """Chooses a consumer's methods again when the default tracer is replaced. Lives as long as the consumer."""

    __slots__ = ("__weakref__", "consumer")

    def __init__(self, consumer: TracedConsumer) -> None:
        self.consumer = ref(consumer)
        consumer._bound = self  # keeps this alive, which the set of followers does not

    def follow(self, tracer: SpanTracer) -> None:
        consumer = self.consumer()
        if consumer is not None:
            consumer._receive.follow(tracer)
            consumer._settle.follow(tracer)
            consumer._bind()
