"""OTLP protobuf bytes to rows of columns: what :mod:`mqtrace.otlp.read_proto` reads, five times as fast.

The same bytes are Malformed, the same spans are refused, and the rows are those of its records (a differential test
holds that). It is faster because the spans of a service repeat their attributes: an attribute is looked up by its
bytes, and only values that differ from span to span are parsed again. A message within the message is a slice of its
own, so that reading beyond its end is an IndexError: it was cut short.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from .columns import ATTRIBUTES, BLANK, COLUMNS, Columns
from .columns_bytes import double, link, short_text, text_pair, whole
from .columns_record import Link, add, finish, keep_newer, rest, scope_member
from .columns_value import Entry, entry, short, threshold
from .read_proto import read_event, read_key_value, read_link, read_span, read_text
from .records import EventRecord
from .wire import BYTES, FIXED64, VARINT, Malformed, field_at, fields, varint

__all__ = ["ProtoColumns"]

# Entries of attributes by their bytes. Offsets, latencies and message ids are not among them.
_MOST_ENTRIES: Final = 8192
_LONGEST_ENTRY: Final = 512
_MOST_NS: Final = (1 << 63) - 1
_U64: Final = struct.Struct("<Q").unpack_from
_HALVES: Final = struct.Struct(">QQ").unpack_from
_ID: Final = struct.Struct(">Q").unpack_from
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_PLACE: Final = {name: number for number, name in enumerate(COLUMNS)}
(_T_HI, _T_LO, _SPAN, _PARENT, _START, _DURATION, _KIND, _NAME, _SERVICE, _STATUS, _STATE, _THRESHOLD, _REST) = (
    _PLACE[name]
    for name in (
        "t_hi", "t_lo", "span", "parent", "start_ns", "duration_ns", "kind", "name", "service", "status",
        "trace_state", "threshold", "rest",
    )
)  # fmt: skip


# Attributes whose values differ from span to span, by the bytes before the value: key's tag, key's length, key.
_DIFFER: Final[Mapping[bytes, tuple[int, Callable[[bytes], Any]]]] = {
    b"\x0a" + bytes((len(key),)) + key.encode(): (_PLACE[ATTRIBUTES[key][0]], read)
    for key, read in (
        ("messaging.kafka.offset", whole),
        ("messaging.message.receive.latency", double),
        ("messaging.message.id", short_text),
    )
}
_KEYS: Final = {_PLACE[column]: key for key, (column, _) in ATTRIBUTES.items()}
# The wire types of the fields that a span is read from.
_WIRES: Final = (BYTES, FIXED64, VARINT)


class ProtoColumns:
    """Reads messages, and remembers the entries of their attributes."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._names: dict[bytes, str] = {}
        self._thresholds: dict[str, int | None] = {}

    def decode(self, payload: bytes) -> Columns:
        """The rows of a TracesData. Raises Malformed if :func:`mqtrace.otlp.read_proto.decode` does."""
        into = Columns()
        has_resource_spans = not payload
        for number, wire, value in fields(payload):
            if number == 1 and wire == BYTES:
                has_resource_spans = True
                self._resource_spans(value, into)
        if not has_resource_spans:
            raise Malformed("there is no ResourceSpans in it")
        return into

    def _resource_spans(self, data: bytes, into: Columns) -> None:
        resource: dict[str, Any] = {}
        scopes: list[bytes] = []
        for number, wire, value in fields(data):
            if wire != BYTES:
                continue
            if number == 1:
                for inner, inner_wire, pair in fields(value):
                    if inner == 1 and inner_wire == BYTES:
                        read_key_value(pair, resource)
            elif number == 2:
                scopes.append(value)
        service = resource.get("service.name")
        for scope in scopes:
            self._scope_spans(scope, short(service) if isinstance(service, str) else None, into)

    def _scope_spans(self, data: bytes, service: str | None, into: Columns) -> None:
        scope: str | None = None
        bodies: list[bytes] = []
        for number, wire, value in fields(data):
            if wire != BYTES:
                continue
            if number == 2:
                bodies.append(value)
            elif number == 1:
                for inner, inner_wire, name in fields(value):
                    if inner == 1 and inner_wire == BYTES:
                        scope = read_text(name) or None
        scope_json = scope_member(scope)
        only_scope = rest({}, (), None, scope_json)
        for body in bodies:
            try:
                self._span(body, service, scope, scope_json, only_scope, into)
            except (IndexError, struct.error):
                raise Malformed("a span is cut short") from None

    def _span(
        self,
        data: bytes,
        service: str | None,
        scope: str | None,
        scope_json: str | None,
        only_scope: str | None,
        into: Columns,
    ) -> None:
        """Read one span. Flat, because it runs for each of millions.

        ``scope_json``: the scope as a member of ``rest``; ``only_scope``: a ``rest`` of nothing else.
        """
        row = BLANK.copy()
        trace_id = span_id = parent_id = b""
        name: str | None = ""
        kind = start = ended = status = 0
        description = ""
        extra: dict[str, str] | None = None
        older: dict[str, tuple[int, Any]] | None = None
        events: list[EventRecord] | None = None
        links: list[Link] | None = None
        entries = self._entries
        at, end = 0, len(data)
        while at < end:
            tag = data[at]
            if tag & 7 == 2 and tag < 0x80:
                size = data[at + 1]
                begin = at + 2
                if size >= 0x80:
                    size, begin = varint(data, at + 1, end)
                at = begin + size
                if at > end or tag < 8:
                    raise Malformed("a field is longer than what is left, or has no number")
                content = data[begin:at]
                if tag == 0x4A:  # 9, attributes
                    attribute_entry = entries.get(content)
                    if attribute_entry is None:
                        attribute_entry = self._attribute(content)
                    key, place, value, as_json, legacy = attribute_entry
                    if as_json is None:
                        row[place] = value
                        if extra is not None and key in extra:
                            del extra[key]
                    else:
                        if extra is None:
                            extra = {}
                        extra[key] = as_json
                        if place >= 0:
                            if legacy:
                                if older is None:
                                    older = {}
                                older[key] = place, value
                            else:
                                row[place] = value
                elif tag == 0x0A:
                    trace_id = content
                elif tag == 0x12:
                    span_id = content
                elif tag == 0x22:
                    parent_id = content
                elif tag == 0x2A:
                    name = self._names.get(content)
                    if name is None:
                        name = self._name(content)
                elif tag == 0x6A:  # 13, links
                    pointed = link(content) or _link(content)
                    if pointed is not None:
                        if links is None:
                            links = []
                        links.append(pointed)
                elif tag == 0x1A:
                    row[_STATE] = read_text(content) or None
                elif tag == 0x7A:  # 15, status
                    for inner, wire, inner_value in fields(content):
                        if inner == 2 and wire == BYTES:
                            description = read_text(inner_value)
                        elif inner == 3 and wire == VARINT:
                            status = inner_value
                elif tag == 0x5A:  # 11, events
                    if events is None:
                        events = []
                    events.append(read_event(content))
            elif tag == 0x39:
                (start,) = _U64(data, at + 1)
                at += 9
            elif tag == 0x41:
                (ended,) = _U64(data, at + 1)
                at += 9
            elif tag == 0x30 and data[at + 1] < 0x80:
                kind = data[at + 1]
                at += 2
            elif tag == 0x85 and data[at + 1] == 1:  # 16, flags
                at += 6
                if at > end:
                    raise Malformed("a field is longer than what is left")
            else:
                number, wire, _, at = field_at(data, at, end)
                if number < 16 and wire in _WIRES:
                    # Written in an uncommon way, a long tag or a long enum: as the records' reader does it.
                    record = read_span(data, service, scope)
                    if record is None:
                        into.refused += 1
                    else:
                        add(record, into)
                    return
        if (
            len(trace_id) != 16
            or len(span_id) != 8
            or len(parent_id) not in (0, 8)
            or trace_id == _NO_TRACE
            or span_id == _NO_SPAN
        ):
            into.refused += 1
            return
        row[_T_HI], row[_T_LO] = _HALVES(trace_id)
        (row[_SPAN],) = _ID(span_id)
        if parent_id and parent_id != _NO_SPAN:
            (row[_PARENT],) = _ID(parent_id)
        row[_START] = start = start if start < _MOST_NS else _MOST_NS
        row[_DURATION] = (ended if ended < _MOST_NS else _MOST_NS) - start
        row[_KIND] = kind if 0 < kind < 6 else 1
        row[_NAME] = name
        row[_SERVICE] = service
        row[_STATUS] = status if status < 3 else 0
        state = row[_STATE]
        if state is not None:
            row[_THRESHOLD] = threshold(state)
            row[_STATE] = short(state)
        if older is not None and extra is not None:
            keep_newer(row, older, extra)
        finish(row, older or _NOTHING, links or (), into)
        if extra is None and events is None and not description:
            row[_REST] = only_scope
        else:
            row[_REST] = rest(extra or _NONE, events or (), description or None, scope_json)
        into.rows.append(row)

    def _attribute(self, content: bytes) -> Entry:
        if content[:1] == b"\x0a":
            before = content[: 2 + content[1]] if len(content) > 2 else b""
            differs = _DIFFER.get(before)
            if differs is not None:
                place, read = differs
                if content[len(before) : len(before) + 1] == b"\x12":
                    value = read(content[len(before) :])
                    if value is not None:
                        return _KEYS[place], place, value, None, False
        pair = text_pair(content)
        if pair is None:
            pairs: dict[str, Any] = {}
            read_key_value(content, pairs)
            (pair,) = pairs.items()
        new_entry = entry(*pair)
        if len(content) <= _LONGEST_ENTRY:
            if len(self._entries) >= _MOST_ENTRIES:
                self._entries.clear()
            self._entries[content] = new_entry
        return new_entry

    def _name(self, content: bytes) -> str:
        name = short(read_text(content))
        if len(content) <= _LONGEST_ENTRY:
            if len(self._names) >= _MOST_ENTRIES:
                self._names.clear()
            self._names[content] = name
        return name


_NOTHING: Final[Mapping[str, tuple[int, Any]]] = {}
_NONE: Final[Mapping[str, str]] = {}


def _link(content: bytes) -> Link | None:
    """A link in any encoding; None if its ids are invalid."""
    record = read_link(content)
    if record is None:
        return None
    trace_id = record.trace_id
    return int(trace_id[:16], 16), int(trace_id[16:], 16), int(record.span_id, 16), record.attributes
