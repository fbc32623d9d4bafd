"""The spans of a message of a span topic as rows of columns. OTLP as protobuf and JSON are told apart by content."""

from __future__ import annotations

from . import read_json
from .columns import Columns
from .columns_proto import ProtoColumns
from .columns_record import add
from .wire import Malformed

__all__ = ["ColumnReader"]


class ColumnReader:
    """Reads messages, and counts those that it could not read, as :class:`mqtrace.otlp.read.OtlpReader` does."""

    def __init__(self) -> None:
        self.messages = 0
        self.messages_malformed = 0
        self.spans = 0
        self.spans_malformed = 0
        self._proto = ProtoColumns()

    def read(self, payload: bytes | None) -> Columns:
        """The rows of a message's value; none if it is not OTLP. Never raises."""
        self.messages += 1
        try:
            if payload is None:
                raise Malformed("there is no value")
            columns = self._decode(payload)
        except Malformed:
            self.messages_malformed += 1
            return Columns()
        self.spans += len(columns.rows)
        self.spans_malformed += columns.refused
        return columns

    def _decode(self, payload: bytes) -> Columns:
        # As in read.py: the tag that a TracesData begins with is a line feed, which may stand before JSON too.
        if payload.lstrip()[:1] == b"{":
            try:
                spans, refused = read_json.decode(payload)
            except Malformed:
                pass
            else:
                columns = Columns()
                columns.refused = refused
                for span in spans:
                    add(span, columns)
                return columns
        return self._proto.decode(payload)
