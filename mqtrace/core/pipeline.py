"""What every span of one tracer shares: its service, its clock, its limits, and where a finished span goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from .attributes import Attribute, Limits
from .clock import Clock

__all__ = ["NO_LIMIT", "Counters", "Pipeline", "Sink"]

NO_LIMIT: Final = 1 << 62


class FinishedSpans(Protocol):
    """A list or a deque of spans. What a span is, this file does not know: a span knows its pipeline."""

    def append(self, span: Any, /) -> None: ...
    def __len__(self) -> int: ...


class Sink(Protocol):
    """Where finished spans go. The hot path appends to ``queue`` while it is shorter than ``limit``.

    A lock around that would cost more than a tenth of a span. A sink that must act at some length sets ``limit`` to it,
    and is called at :meth:`overflow` instead.
    """

    @property
    def queue(self) -> FinishedSpans: ...
    @property
    def limit(self) -> int: ...

    def overflow(self, span: Any) -> None:
        """Take or drop a span that ended while ``queue`` was as long as ``limit``."""

    def admit(self, span: Any, weight: int) -> None:
        """Take or drop a span that keeps ``weight`` bytes of its own, events and long texts for example."""


class Counters:
    """How often something was ignored because it could not be used, by kind. Read by ``stats()``."""

    __slots__ = ("calls_ignored", "clock_skew", "contexts_malformed", "messages_unknown")

    def __init__(self) -> None:
        #: Malformed contexts in messages.
        self.contexts_malformed = 0
        #: Calls on spans that were ignored: an attribute of a wrong type, a second end().
        self.calls_ignored = 0
        #: Messages that arrived before they were sent, by the two machines' clocks.
        self.clock_skew = 0
        #: Objects that were handed over as a message and are not one of a supported client.
        self.messages_unknown = 0


class Pipeline:
    """One tracer's; every template points to it."""

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
        #: The scope's and the resource's bytes, kept by the encoder.
        self.envelope: tuple[bytes, bytes] | None = None
        self.sink = sink
        self.clock = clock
        self.limits = limits
        self.counters = counters
        #: Asked for by samplers that budget spans, see mqtrace.sampling.
        self.spend = spend
        #: Asked for by samplers that learn from errors.
        self.failed = failed
