"""What all spans of one tracer share: the service, the clock, the limits, and the sink of finished spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from .attributes import Attribute, Limits
from .clock import Clock

__all__ = ["NO_LIMIT", "Counters", "Pipeline", "Sink"]

NO_LIMIT: Final = 1 << 62


class FinishedSpans(Protocol):
    """A list or a deque of spans: Any here, because span.py imports this file."""

    def append(self, span: Any, /) -> None: ...
    def __len__(self) -> int: ...


class Sink(Protocol):
    """Where finished spans go. The hot path appends to ``queue`` while it is shorter than ``limit``.

    A lock around that would cost more than a tenth of a span. At that length :meth:`overflow` is called instead.
    """

    @property
    def queue(self) -> FinishedSpans: ...
    @property
    def limit(self) -> int: ...

    def overflow(self, span: Any) -> None:
        """Take or drop a span that ended while ``queue`` was as long as ``limit``."""

    def admit(self, span: Any, weight: int) -> None:
        """Take or drop a span that keeps ``weight`` bytes beside its slots, of events and long texts for example."""


class Counters:
    """How often something was ignored because it was invalid, by kind. ``stats()`` returns these."""

    __slots__ = ("calls_ignored", "clock_skew", "contexts_malformed", "messages_unknown")

    def __init__(self) -> None:
        #: Malformed contexts in messages.
        self.contexts_malformed = 0
        #: Calls on spans that were ignored: an attribute of a wrong type, a second end().
        self.calls_ignored = 0
        #: Messages that arrived before they were sent, by the two machines' clocks.
        self.clock_skew = 0
        #: Objects passed as a message that are not a message of a supported client.
        self.messages_unknown = 0


class Pipeline:
    """What the spans of one tracer share. Every template of the tracer holds it."""

    __slots__ = ("clock", "counters", "envelope", "failed", "limits", "resource", "service", "sink", "spend")

    def __init__(
        self,
        service: str,
        resource: Mapping[str, Attribute],
        sink: Sink,
        *,
        clock: Clock,
        limits: Limits,
        counters: Counters,
        spend: Callable[[], None] | None = None,
        failed: Callable[[str | None], None] | None = None,
    ) -> None:
        self.service = service
        self.resource = resource
        #: The scope and the resource as bytes; the encoder sets it.
        self.envelope: tuple[bytes, bytes] | None = None
        self.sink = sink
        self.clock = clock
        self.limits = limits
        self.counters = counters
        #: Called for each span that no sampler decided, by samplers with a budget of spans (mqtrace.sampling).
        self.spend = spend
        #: Called with the destination of each span with an error, by samplers that learn from errors.
        self.failed = failed
