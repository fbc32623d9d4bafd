"""OTLP protobuf bytes to rows of columns: what :mod:`mqtrace.otlp.read_proto` reads, five times as fast.

The same bytes are Malformed, the same spans are refused, and the rows are those of its records (a differential test
holds that). It is faster because the spans of a service say the same over and over: an attribute is looked up by its
bytes, and only what differs from span to span is read again. A message within the message is a slice of its own, so
that reading beyond its end is an IndexError: what was cut short.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from .columns import ATTRIBUTES, BLANK, COLUMNS, Columns
from .columns_bytes import double, link, short_text, text_pair, whole
from .columns_record import Link, add, finish, keep_newer, rest, said_scope
from .columns_value import Entry, entry, short, threshold
from .read_proto import read_event, read_key_value, read_link, read_span, read_text
from .records import EventRecord
from .wire import BYTES, FIXED64, VARINT, Malformed, field_at, fields, varint

__all__ = ["ProtoColumns"]

# Attributes whose bytes have been read, by service: offsets, latencies and message ids are not among them.
_MOST_KNOWN: Final = 8192
_LONGEST_KNOWN: Final = 512
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


# What differs from span to span, by the bytes before its value: key's tag, key's length, key.
_DIFFER: Final[Mapping[bytes, tuple[int, Callable[[bytes], Any]]]] = {
    b"\x0a" + bytes((len(key),)) + key.encode(): (_PLACE[ATTRIBUTES[key][0]], read)
    for key, read in (
        ("messaging.kafka.offset", whole),
        ("messaging.message.receive.latency", double),
        ("messaging.message.id", short_text),
    )
}
_KEYS: Final = {_PLACE[column]: key for key, (column, _) in ATTRIBUTES.items()}
# Of the fields that a span is read from.
_WIRES: Final = (BYTES, FIXED64, VARINT)


class ProtoColumns:
    """Reads messages, and remembers what their attributes were."""

    def __init__(self) -> None:
        self._known: dict[bytes, Entry] = {}
        self._names: dict[bytes, str] = {}
        self._thresholds: dict[str, int | None] = {}

    def decode(self, payload: bytes) -> Columns:
        """The rows of a TracesData. Raises Malformed where :func:`mqtrace.otlp.read_proto.decode` does."""
        into = Columns()
        found = not payload
        for number, wire, value in fields(payload):
            if number == 1 and wire == BYTES:
                found = True
                self._resource_spans(value, into)
        if not found:
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
        scoped = said_scope(scope)
        plainly = rest({}, (), None, scoped)
        for body in bodies:
            try:
                self._span(body, service, scope, scoped, plainly, into)
            except (IndexError, struct.error):
                raise Malformed("a span is cut short") from None

    def _span(
        self,
        data: bytes,
        service: str | None,
        scope: str | None,
        scoped: str | None,
        plainly: str | None,
        into: Columns,
    ) -> None:
        """One span; flat, because this runs for each of millions.

        ``scoped``: the scope as ``rest`` has it; ``plainly``: a ``rest`` of nothing else.
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
        known = self._known
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
                    found = known.get(content)
                    if found is None:
                        found = self._attribute(content)
                    key, place, value, kept, legacy = found
                    if kept is None:
                        row[place] = value
                        if extra is not None and key in extra:
                            del extra[key]
                    else:
                        if extra is None:
                            extra = {}
                        extra[key] = kept
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
                    for inner, wire, said in fields(content):
                        if inner == 2 and wire == BYTES:
                            description = read_text(said)
                        elif inner == 3 and wire == VARINT:
                            status = said
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
            row[_REST] = plainly
        else:
            row[_REST] = rest(extra or _NONE, events or (), description or None, scoped)
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
        made = entry(*pair)
        if len(content) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[content] = made
        return made

    def _name(self, content: bytes) -> str:
        name = short(read_text(content))
        if len(content) <= _LONGEST_KNOWN:
            if len(self._names) >= _MOST_KNOWN:
                self._names.clear()
            self._names[content] = name
        return name


_NOTHING: Final[Mapping[str, tuple[int, Any]]] = {}
_NONE: Final[Mapping[str, str]] = {}


def _link(content: bytes) -> Link | None:
    """Any link; None where its ids are none."""
    found = read_link(content)
    if found is None:
        return None
    trace_id = found.trace_id
    return int(trace_id[:16], 16), int(trace_id[16:], 16), int(found.span_id, 16), found.attributes
