"""The state of a traced consumer, and which of its methods are replaced to note what it polls and commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from weakref import ref

from mqtrace.clients.proxy import State
from mqtrace.messaging import consumers
from mqtrace.messaging.opt_in import clock_ns, wants_settle
from mqtrace.messaging.reading import Reading
from mqtrace.tracer import SpanTracer, follow

from .configuration import configuration_of, from_configuration, group_of
from .message import batch_members

__all__ = ["ConsumerState"]

_set: Final = object.__setattr__


class ConsumerState(State):
    """The state of one traced consumer.

    ``poll``, ``consume`` and ``commit`` are replaced on the consumer only while there is something to note, so that an
    empty poll takes no longer than without mqtrace. The replacements do not keep the consumer alive.
    """

    __slots__ = ("_consumer", "_options", "learns_topics", "outer", "reading", "subscribed")

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any], *, learns_topics: bool) -> None:
        super().__init__()
        self._options = options
        self._consumer: Callable[[], Any] = lambda: None
        self.subscribed: list[Any] = []
        #: Another instrumentation's proxy around the client: its methods are called instead of the client's.
        self.outer: Any = None
        #: Whether the topics are learned from the messages.
        self.learns_topics = learns_topics
        self.reading = _PolledReading(tracer, self)

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        self.reading.endpoint = from_configuration(configuration_of(args, kwargs, self._options))

    def opened(self, client: Any) -> None:
        """Note the group of a client that is configured, and follow the default tracer. ``client``: the traced one."""
        reading = self.reading
        if not reading.endpoint.group:
            reading.endpoint = reading.endpoint._replace(group=group_of(client))
        self._consumer = ref(client)
        if reading.topics:  # a constructor of a user's class has subscribed
            reading.set_topics(reading.topics)
        self.bind()
        follow(self)

    def closed(self) -> None:
        """Forget the topics of the consumer."""
        self.reading.closed()

    def follow(self, tracer: SpanTracer) -> None:
        """Choose the methods again: the default tracer has been replaced."""
        self.reading.receive.follow(tracer)
        self.reading.settle.follow(tracer)
        self.bind()

    # ------------------------------------------------------------------ the methods that are replaced

    def bind(self) -> None:
        """Choose the methods: the client's own if there is nothing to note."""
        consumer = self._consumer()
        if consumer is None:
            return
        notes = self.learns_topics or self.reading.is_watched
        commits = wants_settle(self.reading.settle.tracer)
        self._choose(consumer, "poll", _Replacement(self, "poll", self.poll) if notes else None)
        self._choose(consumer, "consume", _Replacement(self, "consume", self.consume) if notes else None)
        self._choose(consumer, "commit", _Replacement(self, "commit", self.commit) if commits else None)

    def _choose(self, consumer: Any, name: str, replacement: _Replacement | None) -> None:
        if self.raw is not None:
            _set(consumer, name, self.method(name) if replacement is None else replacement)
            return
        present = consumer.__dict__.get(name)
        if present is not None and type(present) is not _Replacement:
            return  # the user has replaced the method
        if replacement is not None:
            _set(consumer, name, replacement)
        elif present is not None:
            object.__delattr__(consumer, name)

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the client, bound to it for one call."""
        if self.raw is not None:
            return getattr(self.outer or self.raw, name)  # type: ignore[no-any-return]  # a method
        consumer = self._consumer()
        if consumer is None:
            raise RuntimeError("the consumer of this method is gone")
        return getattr(type(consumer), name).__get__(consumer)  # type: ignore[no-any-return]  # a method

    def poll(self, poll: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``poll`` of the client, noted and in a receive span."""
        begun_ns = clock_ns(self.reading.receive)
        message = poll(*args, **kwargs)
        if message is None:
            self.reading.last = ()
            return None
        if self.learns_topics:
            self._learn([message])
        self.reading.note_result(begun_ns, (message,), batch=False)
        return message

    def consume(self, consume: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``consume`` of the client, noted and in a receive span."""
        begun_ns = clock_ns(self.reading.receive)
        messages = consume(*args, **kwargs)
        if self.learns_topics:
            self._learn(messages)
        self.reading.note_result(begun_ns, tuple(messages), batch=True)
        return messages

    def commit(self, commit: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``commit`` of the client, in a settle span."""
        return self.reading.commit_call(partial(commit, *args, **kwargs))

    # ------------------------------------------------------------------ which topics it reads

    def subscribe(self, topics: Any) -> None:
        """Note a subscription."""
        self.subscribed = list(topics)
        self.reading.set_topics(topics)
        self.learn_topics(not all(consumers.is_readable(topic) for topic in self.subscribed))

    def learn_topics(self, learns: bool) -> None:
        """Learn the topics from the messages from now on, or no longer."""
        if learns is not self.learns_topics:
            self.learns_topics = learns
            self.bind()

    def _learn(self, messages: list[Any]) -> None:
        reading = self.reading
        try:
            new = {message.topic() for message in messages if message.error() is None} - reading.topics
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            reading.receive.tracer.complain("the topics of a consumer could not be noted")
            return
        if new:
            reading.add_topics(new)


class _PolledReading(Reading):
    """A reading that replaces the methods of the consumer when the results of its calls must be noted."""

    __slots__ = ("_state",)

    def __init__(self, tracer: SpanTracer | None, state: ConsumerState) -> None:
        super().__init__(tracer, batch_members)
        self._state = ref(state)

    def note(self) -> None:
        """See :class:`Reading`."""
        if not self.is_noting:
            super().note()
            state = self._state()
            if state is not None:
                state.bind()


class _Replacement:
    """Replaces a method of a consumer."""

    __slots__ = ("_name", "_run", "_state")

    def __init__(self, state: ConsumerState, name: str, run: Callable[..., Any]) -> None:
        self._state = state
        self._name = name
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self._state.method(self._name), args, kwargs)
