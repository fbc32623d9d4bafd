"""What a traced consumer of Kafka keeps: which topics it reads, what it returned last, its receive and settle spans.

See consumers.py for what the topics are for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from mqtrace.tracer import SpanTracer

from . import consumers, kafka, opt_in
from .operation import NOTHING_KNOWN, Endpoint, Operation

__all__ = ["Reading", "by_partition"]


class Reading:
    """A :class:`~mqtrace.messaging.consumers.Source` of a Kafka client. ``members_of``: reads what a call returned."""

    __slots__ = ("__weakref__", "_members_of", "endpoint", "last", "noting", "opts_in", "receive", "settle", "topics")

    def __init__(
        self,
        tracer: SpanTracer | None,
        members_of: Callable[[Operation, Iterable[Any]], Sequence[kafka.BatchMember]],
    ) -> None:
        self._members_of = members_of
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.topics: set[str] = set()
        #: What the last call returned.
        self.last: Sequence[Any] = ()
        #: Whether what a call returns must be noted.
        self.noting = False
        #: Whether receive and settle spans are made here.
        self.opts_in = True
        self.receive = Operation("poll", tracer)
        self.settle = Operation("commit", tracer)

    def reads(self, topics: Iterable[Any]) -> None:
        """Note that the consumer reads these topics from now on: names, and patterns that begin with ``^``."""
        try:
            consumers.add(self, [topic for topic in topics if isinstance(topic, str)])
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("the topics of a consumer could not be noted")

    def reads_also(self, topics: Iterable[Any]) -> None:
        """Note that the consumer reads these topics too."""
        self.reads([*self.topics, *topics])

    def closed(self) -> None:
        """Note that the consumer is closed."""
        self.last = ()
        consumers.drop(self)

    def came(self, message: object) -> bool:
        """Whether the last call returned this message."""
        return any(one is message for one in self.last)

    def note(self) -> None:
        """Note from now on what a call returns."""
        self.noting = True

    @property
    def watched(self) -> bool:
        """Whether anything has to be done with what a call returns."""
        return self.noting or (self.opts_in and opt_in.wants_receive(self.receive.tracer))

    def took(self, begun_ns: int, messages: Sequence[Any], *, batch: bool) -> None:
        """Note what a call returned, and make its receive span if one is wanted. ``batch``: the span counts them.

        ``begun_ns``: when the call began, a reading of the tracer's clock.
        """
        self.last = messages
        if not (self.opts_in and opt_in.wants_receive(self.receive.tracer)):
            return
        try:
            members = self._members_of(self.receive, messages)
            kafka.receive(self.receive, self.endpoint, begun_ns, members, batch=batch)
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("a receive span could not be made")

    # ------------------------------------------------------------------ for a client whose calls are awaited

    async def watch(self, call: Awaitable[Any], several: Callable[[Any], Sequence[Any]] | None = None) -> Any:
        """Await a call, and note what it returns. ``several``: the messages in the result; None: it is one."""
        if not self.watched:
            return await call
        begun_ns = opt_in.clock_ns(self.receive)
        result = await call
        self.took(begun_ns, (result,) if several is None else several(result), batch=several is not None)
        return result

    async def commit(self, call: Awaitable[Any]) -> Any:
        """Await a commit, in a settle span if those are wanted."""
        if not (self.opts_in and opt_in.wants_settle(self.settle.tracer)):
            return await call
        with opt_in.start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return await call

    # ------------------------------------------------------------------ for a client whose calls block

    def watch_call(self, call: Callable[[], Any], several: Callable[[Any], Sequence[Any]] | None = None) -> Any:
        """Call, and note what is returned. ``several``: the messages in the result; None: it is one."""
        if not self.watched:
            return call()
        begun_ns = opt_in.clock_ns(self.receive)
        result = call()
        self.took(begun_ns, (result,) if several is None else several(result), batch=several is not None)
        return result

    def commit_call(self, call: Callable[[], Any]) -> Any:
        """Commit, in a settle span if those are wanted."""
        if not (self.opts_in and opt_in.wants_settle(self.settle.tracer)):
            return call()
        with opt_in.start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return call()


def by_partition(messages: Mapping[Any, Sequence[Any]]) -> Sequence[Any]:
    """The messages that a ``getmany`` returned."""
    return [message for of_partition in messages.values() for message in of_partition]
