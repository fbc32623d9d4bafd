"""What a sampler is. A sampler of your own needs only ``sample``; the other members are used if it has them.

A sampler is asked for roots only; see :class:`~mqtrace.sampling.ParentBased` for parents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = ["LearningSampler", "Sampler", "SpendingSampler", "ThresholdSampler"]


@runtime_checkable
class Sampler(Protocol):
    """Decides whether a new trace is recorded."""

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """Whether to record. ``trace_id``: 32 lowercase hex characters. ``name``, ``kind``: the root's.

        ``destination``: topic or queue, None for a user's own span. ``attributes``: those known at the start.
        """
        ...


class ThresholdSampler(Sampler, Protocol):
    """A sampler that the trace id alone decides: it is never called, the tracer compares.

    ``threshold``: 14 lowercase hex characters; a trace is recorded when the last 14 of its id are not below it.
    ``state``: what a recorded root's tracestate starts with, or None.
    """

    threshold: bytes
    state: str | None


class SpendingSampler(Sampler, Protocol):
    """A sampler that counts spans."""

    def spend(self) -> None:
        """A span is recorded that this sampler was not asked about: the child of another."""


class LearningSampler(Sampler, Protocol):
    """A sampler that wants to know of errors."""

    def failed(self, destination: str | None) -> None:
        """A recorded span of this destination ended in an error."""
