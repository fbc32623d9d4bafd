"""A batch in flight: mostly one payload, several if it was split, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from mqtrace.core import Span

from .protocol import Complete
from .safe_encoder import SafeEncoder

__all__ = ["BatchInFlight", "Held", "Payload", "PayloadEncoder"]

_NO_LIMIT: Final = 1 << 40


class Held:
    """The number of bytes of payloads that an exporter holds."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class BatchInFlight:
    """What became of one batch while its payloads are under way. ``held``: where their bytes are counted."""

    __slots__ = ("_complete", "_exported", "_held", "_held_bytes", "_lost", "_pending", "_size")

    def __init__(self, complete: Complete, held: Held | None = None) -> None:
        self._complete = complete
        self._held = held or Held()
        self._held_bytes = 0
        self._pending = 1  # the caller, until it has handed all payloads over
        self._exported = 0
        self._size = 0
        self._lost: dict[str, int] = {}

    def begin(self, size: int) -> None:
        """Note that another payload of ``size`` bytes is under way."""
        self._pending += 1
        self._held_bytes += size
        self._held.bytes += size

    def arrived(self, count: int, size: int) -> None:
        """Count spans that arrived, and their bytes."""
        self._exported += count
        self._size += size

    def lose(self, reason: str, count: int) -> None:
        """Count spans that will not arrive."""
        if count:
            self._lost[reason] = self._lost.get(reason, 0) + count

    def end(self) -> None:
        """Note that a payload has arrived or is lost; after the last one the batch is complete."""
        self._pending -= 1
        if not self._pending:
            self._held.bytes -= self._held_bytes
            self._complete(self._exported, self._size, self._lost)


class Payload:
    """Spans of a batch that travel together. ``deadline``: a reading of time.monotonic."""

    __slots__ = ("batch", "content", "deadline", "spans")

    def __init__(self, batch: BatchInFlight, spans: Sequence[Span], content: bytes, deadline: float) -> None:
        self.batch = batch
        self.spans = spans
        self.content = content
        self.deadline = deadline
        batch.begin(len(content))

    def arrived(self, rejected: int = 0) -> None:
        """Note that it arrived; the receiver took all of its spans but ``rejected``."""
        self.batch.lose("rejected", rejected)
        self.batch.arrived(len(self.spans) - rejected, len(self.content))
        self.batch.end()

    def lost(self, reason: str) -> None:
        """Note that it will not arrive."""
        self.batch.lose(reason, len(self.spans))
        self.batch.end()


class PayloadEncoder:
    """Encodes spans into payloads that are smaller than what the receiver is known to refuse."""

    def __init__(self, encode: Callable[[Sequence[Span]], bytes]) -> None:
        self._encode = SafeEncoder(encode)
        #: Payloads above this were refused.
        self._limit = _NO_LIMIT

    def payloads(self, batch: BatchInFlight, spans: Sequence[Span]) -> Iterator[tuple[bytes, Sequence[Span]]]:
        """The payloads to send, with their spans. One that cannot be encoded is left out, and counted in the batch."""
        encoded = self._encode(spans)
        if encoded is None:
            batch.lose("encode_failed", len(spans))
            return
        content, good = encoded
        batch.lose("encode_failed", len(spans) - len(good))
        if len(content) <= self._limit or len(good) == 1:
            yield content, good
            return
        yield from self.halves(batch, good)

    def halves(self, batch: BatchInFlight, spans: Sequence[Span]) -> Iterator[tuple[bytes, Sequence[Span]]]:
        """The payloads of two halves of the spans, of which there must be two or more."""
        middle = len(spans) // 2
        yield from self.payloads(batch, spans[:middle])
        yield from self.payloads(batch, spans[middle:])

    def refused(self, size: int) -> None:
        """Note that a payload of ``size`` bytes was too large."""
        self._limit = min(self._limit, size * 3 // 4)
