"""What is ours of a traced consumer: its topics, what it polled last, and its receive and settle spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import ref

from mqtrace.clients.proxy import State
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, consumers, kafka
from mqtrace.messaging.opt_in import clock_ns, start_settle, wants_receive, wants_settle
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
        "endpoint",
        "last",
        "noting",
        "over",
        "receive",
        "settle",
        "subscribed",
        "topics",
        "watches",
    )

    def __init__(self, tracer: SpanTracer | None, options: Mapping[str, Any], *, watches: bool) -> None:
        super().__init__()
        self._options = options
        self._consumer: Callable[[], Any] = _nobody
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.topics: set[str] = set()
        self.subscribed: list[Any] = []
        self.last: tuple[Any, ...] = ()
        self.noting = False
        #: What another's instrumentation has put around the client: its methods are called in place of the client's.
        self.over: Any = None
        #: Whether the topics are learned from the messages.
        self.watches = watches
        self.receive = Operation("poll", tracer)
        self.settle = Operation("commit", tracer)

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note what a client is about to be configured with."""
        configuration = configuration_of(args, kwargs)
        configuration.update({name.replace("_", "."): value for name, value in self._options.items()})
        self.endpoint = from_configuration(configuration)

    def opened(self, client: Any) -> None:
        """Note the group of a client that is configured, and follow the default tracer. ``client``: the traced one."""
        if not self.endpoint.group:
            self.endpoint = self.endpoint._replace(group=group_of(client))
        self._consumer = ref(client)
        if self.topics:  # a constructor of the user's has subscribed
            self.reads(self.topics)
        self.bind()
        follow(self)

    def follow(self, tracer: SpanTracer) -> None:
        """Choose the methods again: the default tracer is another one."""
        self.receive.follow(tracer)
        self.settle.follow(tracer)
        self.bind()

    # ------------------------------------------------------------------ what the traced calls are

    def bind(self) -> None:
        """Choose the methods: the client's own where nothing has to be done."""
        consumer = self._consumer()
        if consumer is None:
            return
        tracer = self.receive.tracer
        watched = self.noting or self.watches or wants_receive(tracer)
        settled = wants_settle(tracer)
        self._choose(consumer, "poll", _Replaced(self, "poll", Polls.poll) if watched else None)
        self._choose(consumer, "consume", _Replaced(self, "consume", Polls.consume) if watched else None)
        self._choose(consumer, "commit", _Replaced(self, "commit", Polls.commit) if settled else None)

    def _choose(self, consumer: Any, name: str, replacement: _Replaced | None) -> None:
        if self.raw is not None:
            _set(consumer, name, self.method(name) if replacement is None else replacement)
            return
        kept = consumer.__dict__.get(name)
        if kept is not None and type(kept) is not _Replaced:
            return  # the user's
        if replacement is not None:
            _set(consumer, name, replacement)
        elif kept is not None:
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
        begun = clock_ns(self.receive)
        message = poll(*args, **kwargs)
        if message is None:
            self.last = ()
            return None
        self.last = (message,)
        if self.watches:
            self._learn([message])
        self._received(begun, [message], batch=False)
        return message

    def consume(self, consume: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``consume`` of the client, noted and in a receive span."""
        begun = clock_ns(self.receive)
        messages = consume(*args, **kwargs)
        self.last = tuple(messages)
        if self.watches:
            self._learn(messages)
        self._received(begun, messages, batch=True)
        return messages

    def _received(self, begun: int, messages: list[Any], *, batch: bool) -> None:
        """The receive span of a poll that returned something: CLIENT, linked to every message."""
        operation = self.receive
        if not wants_receive(operation.tracer):
            return
        try:
            found: list[kafka.Found] = [
                (context_of(operation, one).identity, one.topic(), False, one.partition(), one.offset())
                for one in messages
                if one.error() is None
            ]
            kafka.receive(operation, self.endpoint, begun, found, batch=batch)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            operation.tracer.complain("a receive span could not be made")

    def commit(self, commit: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``commit`` of the client, in a settle span: CLIENT."""
        with start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return commit(*args, **kwargs)

    # ------------------------------------------------------------------ which topics it reads

    def subscribes(self, topics: Any) -> None:
        """Note a subscription."""
        self.subscribed = list(topics)
        self.reads(topics)
        self.watch(not all(consumers.is_readable(topic) for topic in self.subscribed))

    def reads(self, topics: Any) -> None:
        """Say that the consumer reads these topics from now on."""
        try:
            consumers.add(self, [topic for topic in topics if isinstance(topic, str)])
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("the topics of a consumer could not be noted")

    def watch(self, watches: bool) -> None:
        """Learn the topics from the messages, or no longer."""
        if watches is not self.watches:
            self.watches = watches
            self.bind()

    def _learn(self, messages: list[Any]) -> None:
        try:
            new = {message.topic() for message in messages if message.error() is None} - self.topics
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("the topics of a consumer could not be noted")
            return
        if new:
            self.reads([*self.topics, *new])

    def came(self, message: object) -> bool:
        """Whether the last poll or consume returned this message."""
        return any(one is message for one in self.last)

    def note(self) -> None:
        """Note from now on what is polled."""
        if not self.noting:
            self.noting = True
            self.bind()

    def closed(self) -> None:
        """The consumer is closed."""
        self.last = ()
        consumers.drop(self)


class _Replaced:
    """What stands on a consumer in the place of one of its methods."""

    __slots__ = ("_name", "_polls", "_run")

    def __init__(self, polls: Polls, name: str, run: Callable[..., Any]) -> None:
        self._polls = polls
        self._name = name
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self._polls, self._polls.method(self._name), args, kwargs)


def _nobody() -> None:
    """No consumer yet."""
