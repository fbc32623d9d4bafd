"""What a traced consumer of Kafka reads: its topics, the messages of its last call, its receive and settle spans.

consumers.py says what the topics are for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from mqtrace.tracer import SpanTracer

from . import consumers, kafka, opt_in
from .operation import NOTHING_KNOWN, Endpoint, Operation

__all__ = ["Reading", "by_partition"]


class Reading:
    """A :class:`~mqtrace.messaging.consumers.Source` of a Kafka client.

    ``members_of``: returns the members of a receive span from the messages that a call returned.
    """

    __slots__ = ("__weakref__", "_members", "endpoint", "is_noting", "last", "opts_in", "receive", "settle", "topics")

    def __init__(
        self,
        tracer: SpanTracer | None,
        members_of: Callable[[Operation, Iterable[Any]], Sequence[kafka.BatchMember]],
    ) -> None:
        self._members = members_of
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.topics: set[str] = set()
        #: The messages that the last call returned.
        self.last: Sequence[Any] = ()
        #: Whether the messages of each call must be noted in ``last``.
        self.is_noting = False
        #: Whether receive and settle spans are made here, if they are wanted.
        self.opts_in = True
        self.receive = Operation("poll", tracer)
        self.settle = Operation("commit", tracer)

    def set_topics(self, topics: Iterable[Any]) -> None:
        """Note that the consumer reads these topics from now on: names, and patterns that begin with ``^``."""
        try:
            consumers.add(self, [topic for topic in topics if isinstance(topic, str)])
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("the topics of a consumer could not be noted")

    def add_topics(self, topics: Iterable[Any]) -> None:
        """Note that the consumer reads these topics too."""
        self.set_topics([*self.topics, *topics])

    def closed(self) -> None:
        """Note that the consumer is closed."""
        self.last = ()
        consumers.drop(self)

    def came(self, message: object) -> bool:
        """Whether the last call returned this message."""
        return any(one is message for one in self.last)

    def note(self) -> None:
        """Note the messages of each call from now on."""
        self.is_noting = True

    @property
    def is_watched(self) -> bool:
        """Whether the result of a call is needed here: for ``last``, or for a receive span."""
        return self.is_noting or (self.opts_in and opt_in.wants_receive(self.receive.tracer))

    def note_result(self, begun_ns: int, messages: Sequence[Any], *, batch: bool) -> None:
        """Note the messages that a call returned, and make its receive span if one is wanted.

        ``begun_ns``: the time when the call began, by the tracer's clock. ``batch``: whether the span counts them.
        """
        self.last = messages
        if not (self.opts_in and opt_in.wants_receive(self.receive.tracer)):
            return
        try:
            members = self._members(self.receive, messages)
            kafka.receive(self.receive, self.endpoint, begun_ns, members, batch=batch)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("a receive span could not be made")

    # ------------------------------------------------------------------ for a client whose calls are awaited

    async def watch(self, call: Awaitable[Any], several: Callable[[Any], Sequence[Any]] | None = None) -> Any:
        """Await a call, and note its result: a message, or those that ``several`` returns for it."""
        if not self.is_watched:
            return await call
        begun_ns = opt_in.clock_ns(self.receive)
        result = await call
        self.note_result(begun_ns, (result,) if several is None else several(result), batch=several is not None)
        return result

    async def commit(self, call: Awaitable[Any]) -> Any:
        """Await a commit, within a settle span if those are wanted."""
        if not (self.opts_in and opt_in.wants_settle(self.settle.tracer)):
            return await call
        with opt_in.start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return await call

    # ------------------------------------------------------------------ for a client whose calls block

    def watch_call(self, call: Callable[[], Any], several: Callable[[Any], Sequence[Any]] | None = None) -> Any:
        """Make a call, and note its result: a message, or those that ``several`` returns for it."""
        if not self.is_watched:
            return call()
        begun_ns = opt_in.clock_ns(self.receive)
        result = call()
        self.note_result(begun_ns, (result,) if several is None else several(result), batch=several is not None)
        return result

    def commit_call(self, call: Callable[[], Any]) -> Any:
        """Make a commit, within a settle span if those are wanted."""
        if not (self.opts_in and opt_in.wants_settle(self.settle.tracer)):
            return call()
        with opt_in.start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return call()


def by_partition(messages: Mapping[Any, Sequence[Any]]) -> Sequence[Any]:
    """All messages of a ``getmany``, which returns lists by partition."""
    return [message for partition_messages in messages.values() for message in partition_messages]
