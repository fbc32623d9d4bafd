"""What an exporter is.

Two shapes, because a broker answers later than it is asked: :class:`Exporter` is what a user writes, one call a batch;
:class:`PipelinedExporter` takes many batches before the first is confirmed, and says of each how it ended. Everything
is called from one thread, the worker's, so that an exporter needs no lock.

Of either shape it may also have, and is then asked for:

- ``export_timeout``: seconds within which a batch must be complete, set before the first one;
- ``flush(timeout)``: have what was exported go on; False if not all of it did. Part of the tracer's ``flush``;
- ``hurry(deadline)``, called from ANY thread: a shutdown waits until ``deadline`` only, a reading of time.monotonic;
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
    """How a batch ended of which not everything may have left."""

    #: How many spans left, in how many bytes.
    spans: int
    size: int
    #: How many did not, by reason.
    lost: Mapping[str, int]


class Exporter(Protocol):
    """Takes finished spans away. An exception means that they are lost, and counted as ``export_failed``."""

    def export(self, spans: Sequence[Span], /) -> int | Exported | None:
        """Send these. Returns the bytes that left, where it knows, or an :class:`Exported` where some did not."""

    def shutdown(self, timeout: float, /) -> bool | None:
        """Let go of everything within ``timeout`` seconds. False: not everything left."""


@runtime_checkable
class PipelinedExporter(Protocol):
    """Takes batches without waiting for the ones before.

    ``held_bytes``, where it has that: of payloads that are under way, which count to the bound.
    """

    #: See above.
    export_timeout: float

    def submit(self, spans: Sequence[Span], complete: Complete, /) -> None:
        """Take a batch. ``complete`` is called here or in :meth:`poll`; after an exception it is never called."""

    def poll(self, timeout: float, /) -> None:
        """Serve what came back, waiting up to ``timeout`` seconds for it."""

    def shutdown(self, timeout: float, /) -> bool | None:
        """As an Exporter's; what is not complete by then is lost."""
