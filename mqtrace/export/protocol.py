"""What an exporter is.

There are two shapes, because a broker answers later than it is asked: an :class:`Exporter` is what a user writes, with
one call a batch; a :class:`PipelinedExporter` takes many batches before the first is confirmed, and reports how each
ended. Everything is called from one thread, the worker's, so that an exporter needs no lock.

An exporter of either shape may also have these, which are then used:

- ``export_timeout``: seconds within which a batch must be complete, set before the first one;
- ``flush(timeout)``: send on what was exported; False if not all of it was. Part of the tracer's ``flush``;
- ``hurry(deadline)``, called from ANY thread: a shutdown waits only until ``deadline``, a reading of time.monotonic;
- ``ends_at_exit``: True if what it hands spans to is shut down by atexit, so that they have to leave before;
- ``after_fork()``, called in a forked child: what it holds is the parent's and must not be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from mqtrace.core import Span

__all__ = ["Complete", "Exported", "Exporter", "PipelinedExporter"]

#: ``complete(exported, payload_bytes, lost)``: how many spans of a batch arrived, in how many bytes, and how many did
#: not, by reason: ``too_large``, ``encode_failed``, ``rejected``, ``export_failed``, ``shutdown``. Called once a batch.
Complete: TypeAlias = Callable[[int, int, Mapping[str, int]], None]


class Exported(NamedTuple):
    """How a batch ended, if part of it may not have left."""

    #: How many spans left, in how many bytes.
    spans: int
    size: int
    #: How many spans did not, by reason.
    lost: Mapping[str, int]


class Exporter(Protocol):
    """Takes finished spans away. An exception means that they are lost, and counted as ``export_failed``."""

    def export(self, spans: Sequence[Span], /) -> int | Exported | None:
        """Send these. Returns the bytes that left, if it knows, or an :class:`Exported` if some spans did not leave."""

    def shutdown(self, timeout: float, /) -> bool | None:
        """Release everything within ``timeout`` seconds. False: not everything left."""


@runtime_checkable
class PipelinedExporter(Protocol):
    """Takes batches without waiting for the ones before.

    ``held_bytes``, if it has that: the bytes of the payloads that are under way, which count to the queue's bound.
    """

    #: Seconds within which a batch must be complete.
    export_timeout: float

    def submit(self, spans: Sequence[Span], complete: Complete, /) -> None:
        """Take a batch. ``complete`` is called here or in :meth:`poll`; after an exception it is never called."""

    def poll(self, timeout: float, /) -> None:
        """Handle the reports that came back, waiting up to ``timeout`` seconds for one."""

    def shutdown(self, timeout: float, /) -> bool | None:
        """As :meth:`Exporter.shutdown`; a batch that is not complete by then is lost."""
