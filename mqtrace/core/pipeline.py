"""What every span of one tracer shares: its service, its clock, its limits, and where a finished span goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence
from typing import TYPE_CHECKING, Final, Protocol

from .attributes import Attribute, Limits
from .clock import Clock

if TYPE_CHECKING:
    from .span import Span

__all__ = ["NO_LIMIT", "Counters", "Pipeline", "Sink"]

NO_LIMIT: Final = 1 << 62


class Sink(Protocol):
    """Where finished spans go. The hot path appends to ``queue`` while it is shorter than ``limit``.

    A lock around that would cost more than a tenth of a span; a sink that must do something at a length says so with
    ``limit``, and gets the span through :meth:`overflow` instead.
    """

    @property
    def queue(self) -> MutableSequence[Span]: ...
    @property
    def limit(self) -> int: ...

    def overflow(self, span: Span) -> None:
        """Take or drop a span that met the limit."""

    def admit(self, span: Span, weight: int) -> None:
        """Take or drop a span that keeps ``weight`` bytes of its own, events and long texts for example."""


class Counters:
    """What was ignored because it could not be used, by kind. Read by ``stats()``."""

    __slots__ = ("calls_ignored", "clock_skew", "contexts_malformed", "messages_unknown")

    def __init__(self) -> None:
        #: Contexts in messages that were no contexts.
        self.contexts_malformed = 0
        #: Calls on spans that could not be done: an attribute of a wrong type, a second end().
        self.calls_ignored = 0
        #: Messages that arrived before they were sent, by the two machines' clocks.
        self.clock_skew = 0
        #: What was handed over as a message, and is none that a client here knows.
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
