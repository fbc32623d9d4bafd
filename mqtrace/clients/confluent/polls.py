"""The state of a traced consumer, and which of its methods are replaced to note what it polls and commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final
from weakref import ref

from mqtrace.clients.proxy import State
from mqtrace.messaging import Operation, consumers, kafka
from mqtrace.messaging.opt_in import clock_ns, wants_settle
from mqtrace.messaging.reading import Reading
from mqtrace.tracer import SpanTracer, follow

from .configuration import configuration_of, from_configuration, group_of
from .message import context_of

__all__ = ["Polls"]

_set: Final = object.__setattr__


class Polls(State):
    """The state of one traced consumer.

    ``poll``, ``consume`` and ``commit`` are replaced on the consumer while there is something to do with them, so that
    an empty poll costs what it did. What replaces them does not keep the consumer alive.
    """

    __slots__ = (
        "_consumer",
        "_options",
        "over",
        "reading",
        "subscribed",
        "watches",
    )

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any], *, watches: bool) -> None:
        super().__init__()
        self._options = options
        self._consumer: Callable[[], Any] = _nobody
        self.subscribed: list[Any] = []
        #: What another instrumentation has put around the client: its methods are called in place of the client's.
        self.over: Any = None
        #: Whether the topics are learned from the messages.
        self.watches = watches
        self.reading = _PolledReading(tracer, self)

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        configuration = configuration_of(args, kwargs)
        configuration.update({name.replace("_", "."): value for name, value in self._options.items()})
        self.reading.endpoint = from_configuration(configuration)

    def opened(self, client: Any) -> None:
        """Note the group of a client that is configured, and follow the default tracer. ``client``: the traced one."""
        reading = self.reading
        if not reading.endpoint.group:
            reading.endpoint = reading.endpoint._replace(group=group_of(client))
        self._consumer = ref(client)
        if reading.topics:  # a constructor of the user's has subscribed
            reading.reads(reading.topics)
        self.bind()
        follow(self)

    def follow(self, tracer: SpanTracer) -> None:
        """Choose the methods again: the default tracer is another one."""
        self.reading.receive.follow(tracer)
        self.reading.settle.follow(tracer)
        self.bind()

    # ------------------------------------------------------------------ what the traced calls are

    def bind(self) -> None:
        """Choose the methods: the client's own where nothing has to be done."""
        consumer = self._consumer()
        if consumer is None:
            return
        watched = self.watches or self.reading.watched
        commits = wants_settle(self.reading.settle.tracer)
        self._choose(consumer, "poll", _Replaced(self, "poll", Polls.poll) if watched else None)
        self._choose(consumer, "consume", _Replaced(self, "consume", Polls.consume) if watched else None)
        self._choose(consumer, "commit", _Replaced(self, "commit", Polls.commit) if commits else None)

    def _choose(self, consumer: Any, name: str, replacement: _Replaced | None) -> None:
        if self.raw is not None:
            _set(consumer, name, self.method(name) if replacement is None else replacement)
            return
        present = consumer.__dict__.get(name)
        if present is not None and type(present) is not _Replaced:
            return  # the user's
        if replacement is not None:
            _set(consumer, name, replacement)
        elif present is not None:
            object.__delattr__(consumer, name)

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the client, bound to it for one call."""
        if self.raw is not None:
            return getattr(self.over or self.raw, name)  # type: ignore[no-any-return]  # a method
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
        if self.watches:
            self._learn([message])
        self.reading.took(begun_ns, (message,), batch=False)
        return message

    def consume(self, consume: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``consume`` of the client, noted and in a receive span."""
        begun_ns = clock_ns(self.reading.receive)
        messages = consume(*args, **kwargs)
        if self.watches:
            self._learn(messages)
        self.reading.took(begun_ns, tuple(messages), batch=True)
        return messages

    def commit(self, commit: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``commit`` of the client, in a settle span."""
        return self.reading.commit_call(partial(commit, *args, **kwargs))

    # ------------------------------------------------------------------ which topics it reads

    def subscribes(self, topics: Any) -> None:
        """Note a subscription."""
        self.subscribed = list(topics)
        self.reading.reads(topics)
        self.watch(not all(consumers.is_readable(topic) for topic in self.subscribed))

    def watch(self, watches: bool) -> None:
        """Learn the topics from the messages, or no longer."""
        if watches is not self.watches:
            self.watches = watches
            self.bind()

    def _learn(self, messages: list[Any]) -> None:
        reading = self.reading
        try:
            new = {message.topic() for message in messages if message.error() is None} - reading.topics
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            reading.receive.tracer.complain("the topics of a consumer could not be noted")
            return
        if new:
            reading.reads_also(new)


class _PolledReading(Reading):
    """What a consumer reads. When its messages must be noted, it has the consumer's methods replaced."""

    __slots__ = ("_polls",)

    def __init__(self, tracer: SpanTracer | None, polls: Polls) -> None:
        super().__init__(tracer, _members_of)
        self._polls = ref(polls)

    def note(self) -> None:
        """See :class:`Reading`."""
        if not self.noting:
            super().note()
            polls = self._polls()
            if polls is not None:
                polls.bind()


class _Replaced:
    """What stands on a consumer in the place of one of its methods."""

    __slots__ = ("_name", "_polls", "_run")

    def __init__(self, polls: Polls, name: str, run: Callable[..., Any]) -> None:
        self._polls = polls
        self._name = name
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self._polls, self._polls.method(self._name), args, kwargs)


def _members_of(operation: Operation, messages: Iterable[Any]) -> list[kafka.BatchMember]:
    """The messages that a receive span links to."""
    return [
        (context_of(operation, one).identity, one.topic(), False, one.partition(), one.offset())
        for one in messages
        if one.error() is None
    ]


def _nobody() -> None:
    """No consumer yet."""
