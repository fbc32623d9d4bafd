"""What is ours of a consumer whose client is no C: which topics it reads, what it took last, its receive spans.

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
    """A :class:`~mqtrace.messaging.consumers.Source` of Kafka's records. ``found``: reads what a client returned."""

    __slots__ = ("__weakref__", "_found", "endpoint", "last", "noting", "opts_in", "receive", "settle", "topics")

    def __init__(
        self, tracer: SpanTracer | None, found: Callable[[Operation, Iterable[Any]], Sequence[kafka.Found]]
    ) -> None:
        self._found = found
        self.endpoint: Endpoint = NOTHING_KNOWN
        self.topics: set[str] = set()
        self.last: Sequence[Any] = ()
        self.noting = False
        #: Whether receive and settle spans are to be made here.
        self.opts_in = True
        self.receive = Operation("poll", tracer)
        self.settle = Operation("commit", tracer)

    def reads(self, topics: Iterable[Any]) -> None:
        """Say that the consumer reads these topics from now on: names, and patterns that begin with ``^``."""
        try:
            consumers.add(self, [topic for topic in topics if isinstance(topic, str)])
        except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
            self.receive.tracer.complain("the topics of a consumer could not be noted")

    def reads_also(self, topics: Iterable[Any]) -> None:
        """Say that the consumer reads these topics too."""
        self.reads([*self.topics, *topics])

    def closed(self) -> None:
        """The consumer is closed."""
        self.last = ()
        consumers.drop(self)

    def came(self, message: object) -> bool:
        """Whether the consumer returned this message last."""
        return any(one is message for one in self.last)

    def note(self) -> None:
        """Note from now on what is returned."""
        self.noting = True

    async def watch(self, call: Awaitable[Any], several: Callable[[Any], Sequence[Any]] | None = None) -> Any:
        """Await what an asynchronous client returns, and note it. ``several``: the messages in it; None: it is one."""
        if not self.watched:
            return await call
        begun_ns = opt_in.clock_ns(self.receive)
        result = await call
        self.took(begun_ns, (result,) if several is None else several(result), batch=several is not None)
        return result

    async def settled(self, call: Awaitable[Any]) -> Any:
        """Await a commit, in a settle span."""
        if not (self.opts_in and opt_in.wants_settle(self.settle.tracer)):
            return await call
        with opt_in.start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return await call

    @property
    def watched(self) -> bool:
        """Whether anything has to be done with what is returned."""
        return self.noting or (self.opts_in and opt_in.wants_receive(self.receive.tracer))

    def took(self, begun_ns: int, messages: Sequence[Any], *, batch: bool) -> None:
        """Messages were returned, by a call that began at this reading of the clock."""
        self.last = messages
        if self.opts_in and opt_in.wants_receive(self.receive.tracer):
            try:
                found = self._found(self.receive, messages)
                kafka.receive(self.receive, self.endpoint, begun_ns, found, batch=batch)
            except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
                self.receive.tracer.complain("a receive span could not be made")

    # ------------------------------------------------------------------ the same for a client whose calls block

    def watch_call(self, call: Callable[[], Any], several: Callable[[Any], Sequence[Any]] | None = None) -> Any:
        """Call, and note the messages that it returns. ``several``: the messages in it; None: it is one."""
        if not self.watched:
            return call()
        begun_ns = opt_in.clock_ns(self.receive)
        result = call()
        self.took(begun_ns, (result,) if several is None else several(result), batch=several is not None)
        return result

    def settle_call(self, call: Callable[[], Any]) -> Any:
        """Commit, in a settle span where those are asked for."""
        if not (self.opts_in and opt_in.wants_settle(self.settle.tracer)):
            return call()
        with opt_in.start_settle(self.settle, kafka.SYSTEM, None, self.endpoint):
            return call()


def by_partition(messages: Mapping[Any, Sequence[Any]]) -> Sequence[Any]:
    """The messages that a ``getmany`` returned."""
    return [message for some in messages.values() for message in some]
