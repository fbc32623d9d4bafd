"""The spans of a message of a span topic: OTLP as protobuf or JSON, told apart by its content.

A topic may hold anything. A message that is not OTLP is counted and skipped; nothing raises.
"""

from __future__ import annotations

from . import read_json, read_proto
from .records import SpanRecord
from .wire import Malformed

__all__ = ["OtlpReader"]


class OtlpReader:
    """Reads messages, and counts those that it could not read.

    ``messages``: all of them; ``messages_malformed``: those that are not OTLP; ``spans``: the spans that were read;
    ``spans_malformed``: spans of other messages without valid ids or times.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.messages_malformed = 0
        self.spans = 0
        self.spans_malformed = 0

    def read(self, payload: bytes | None) -> list[SpanRecord]:
        """The spans of a message's value; none if it is not OTLP. Never raises."""
        self.messages += 1
        if payload is None:
            self.messages_malformed += 1
            return []
        try:
            spans, refused = _decode(payload)
        except Malformed:
            self.messages_malformed += 1
            return []
        self.spans += len(spans)
        self.spans_malformed += refused
        return spans


def _decode(payload: bytes) -> tuple[list[SpanRecord], int]:
    # The tag that a TracesData begins with, 0x0A, is a line feed, which may stand before JSON too.
    if payload.lstrip()[:1] == b"{":
        try:
            return read_json.decode(payload)
        except Malformed:
            pass  # a ResourceSpans of 123 bytes begins like that
    return read_proto.decode(payload)
