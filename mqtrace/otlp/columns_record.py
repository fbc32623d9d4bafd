"""A record as a row of columns, and back. Simple, for JSON; columns_proto.py is the fast way for protobuf."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from .columns import (
    ATTRIBUTES,
    BLANK,
    COLUMNS,
    LEGACY,
    NO_ROLE,
    RECEIVED,
    RECEIVED_MANY,
    SENT,
    Columns,
)
from .columns_value import entry, fragment, json_value, short, threshold
from .records import KINDS, STATUSES, EventRecord, LinkRecord, SpanRecord

__all__ = ["Link", "add", "as_mapping", "finish", "keep_newer", "record", "rest", "scope_member"]

_MOST_NS: Final = (1 << 63) - 1
_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS) if number}
_STATUS_NUMBERS: Final = {status: number for number, status in enumerate(STATUSES)}
_OF_LINK: Final = ("messaging.destination.name", "messaging.destination.partition.id", "messaging.kafka.offset")
_MOST_EVENTS: Final = 1 << 20


def add(span: SpanRecord, into: Columns) -> None:
    """Append a span to the rows."""
    row = BLANK.copy()
    place = _PLACE
    hi, lo = _halves(span.trace_id)
    start = min(span.start, _MOST_NS)
    row[place["t_hi"]], row[place["t_lo"]] = hi, lo
    row[place["span"]] = int(span.span_id, 16)
    row[place["parent"]] = None if span.parent_id is None else int(span.parent_id, 16)
    row[place["start_ns"]] = start
    row[place["duration_ns"]] = min(span.end, _MOST_NS) - start
    row[place["kind"]] = _KIND_NUMBERS[span.kind]
    row[place["name"]] = short(span.name)
    row[place["service"]] = None if span.service is None else short(span.service)
    row[place["status"]] = _STATUS_NUMBERS[span.status]
    extra: dict[str, str] = {}
    older: dict[str, tuple[int, Any]] = {}
    for key, value in span.attributes.items():
        name, at, in_column, text, legacy = entry(key, value)
        if legacy:
            older[name] = at, in_column
        elif at >= 0:
            row[at] = in_column
        if text is not None:
            extra[name] = text
    if span.trace_state is not None:
        row[place["trace_state"]] = short(span.trace_state)
        row[place["threshold"]] = threshold(span.trace_state)
    links = [(*_halves(link.trace_id), int(link.span_id, 16), link.attributes) for link in span.links]
    if older:
        keep_newer(row, older, extra)
    finish(row, older, links, into)
    row[place["rest"]] = rest(extra, span.events, span.status_description, scope_member(span.scope))
    into.rows.append(row)


_PLACE: Final = {name: number for number, name in enumerate(COLUMNS)}
_ROLE, _KIND, _OPERATION, _BATCH, _LINKED = (_PLACE[name] for name in ("role", "kind", "operation", "batch", "linked"))
_T_HI, _T_LO, _SPAN, _PARENT, _START = (_PLACE[name] for name in ("t_hi", "t_lo", "span", "parent", "start_ns"))
_M_HI, _M_LO, _M_SPAN = (_PLACE[name] for name in ("m_hi", "m_lo", "m_span"))

_KEYS: Final = {_PLACE[column]: key for key, (column, _) in ATTRIBUTES.items()}


def keep_newer(row: list[Any], older: Mapping[str, tuple[int, Any]], extra: dict[str, str]) -> None:
    """If a span has an attribute by a newer and an older name, keep the newer one in ``rest`` beside its column."""
    for at, _ in older.values():
        if row[at] is not None and _KEYS[at] not in extra:
            extra[_KEYS[at]] = fragment(_KEYS[at], row[at])


Link = tuple[int, int, int, Mapping[str, Any]]


def finish(row: list[Any], older: Mapping[str, tuple[int, Any]], links: Sequence[Link], into: Columns) -> None:
    """Set the span's role and its message, and append its links.

    ``older``: the column's place and the value, by attributes of older names. The caller appends the row next.
    """
    for at, value in older.values():
        if row[at] is None:
            row[at] = value
    kind = row[_KIND]
    role = NO_ROLE
    hi, lo, target = row[_T_HI], row[_T_LO], row[_SPAN]
    message: tuple[int, int, int] | None = None
    if kind == 4:
        role, message = SENT, (hi, lo, target)
    elif kind == 5:
        parent = row[_PARENT]
        target = parent
        above = None if parent is None else (hi, lo, parent)
        messages = [link for link in links if "celery.retries" not in link[3]]  # that links to the previous attempt
        if row[_BATCH] is None and above is not None and any(link[:3] == above for link in messages):
            role, message = RECEIVED, above
        elif len(messages) == 1 and row[_BATCH] is None:
            role, message = RECEIVED, messages[0][:3]
        elif messages:
            role = RECEIVED_MANY
        elif above is not None:
            role, message = RECEIVED, above
    elif kind == 3 and len(links) == 1 and row[_OPERATION] in ("send", "create"):
        role, message = SENT, links[0][:3]
    row[_ROLE] = role
    if message is not None:
        if message[0] != hi or message[1] != lo:
            row[_M_HI], row[_M_LO] = message[:2]
        if message[2] != target:
            row[_M_SPAN] = message[2]
    row[_LINKED] = False
    if not links:
        return
    if len(links) == 1 and links[0][:3] == message and not links[0][3]:
        row[_LINKED] = True
        return
    number = len(into.rows)
    start = row[_START]
    for at, (m_hi, m_lo, m_span, attributes) in enumerate(links):
        column_values: list[Any] = [None, None, None]
        other_attributes = dict(attributes)
        for which, key in enumerate(_OF_LINK):
            value = attributes.get(key)
            if value is not None:
                value_entry = entry(key, value)
                column_values[which] = value_entry[2]
                if value_entry[3] is None:
                    del other_attributes[key]
        text = _braced(fragment(key, value) for key, value in other_attributes.items()) if other_attributes else None
        into.links.append([number, at, start, m_hi, m_lo, m_span, *column_values, text])


def scope_member(scope: str | None) -> str | None:
    """The scope as a member of ``rest``: the same for all spans of a scope."""
    return None if scope is None else fragment("s", scope)


def rest(
    extra: Mapping[str, str], events: Sequence[EventRecord], description: str | None, scope: str | None
) -> str | None:
    """The JSON of what has no column. ``scope``: as :func:`scope_member` returns it."""
    if extra and not events and description is None:
        return (
            f'{{"a":{{{",".join(extra.values())}}}}}'
            if scope is None
            else f'{{"a":{{{",".join(extra.values())}}},{scope}}}'
        )
    members = []
    if extra:
        members.append('"a":' + _braced(extra.values()))
    if events:
        members.append(f'"e":[{",".join(_event_members(events))}]')
    if description is not None:
        members.append(fragment("d", description))
    if scope is not None:
        members.append(scope)
    return _braced(members) if members else None


def _braced(members: Iterable[str]) -> str:
    return "{" + ",".join(members) + "}"


def _event_members(events: Sequence[EventRecord]) -> Iterator[str]:
    """Events as JSON, up to a megabyte of them."""
    size = 0
    for number, event in enumerate(events):
        text = json.dumps(
            {"n": short(event.name), "t": event.timestamp, "a": json_value(event.attributes)}, ensure_ascii=False
        )
        size += len(text)
        if size > _MOST_EVENTS:
            left = len(events) - number
            yield json.dumps({"n": f"({left} of {len(events)} events were cut)", "t": event.timestamp, "a": {}})
            return
        yield text


def as_mapping(row: Sequence[Any]) -> dict[str, Any]:
    """A row with the names of its columns."""
    return dict(zip(COLUMNS, row, strict=True))


def record(row: Mapping[str, Any], links: Sequence[Mapping[str, Any]] = ()) -> SpanRecord:
    """The span of a row; its attributes as JSON has them. ``links``: rows of it, by LINK_COLUMNS, in their order."""
    decoded = json.loads(row["rest"]) if row["rest"] else {}
    attributes = dict(decoded.get("a", {}))
    silent = {column for key, column in LEGACY.items() if key in attributes}
    for key, (column, _) in ATTRIBUTES.items():
        value = row[column]
        if value is not None and key not in attributes and column not in silent:
            attributes[key] = value
    hi, lo = row["t_hi"], row["t_lo"]
    if row["linked"]:
        target = row["m_span"]
        if target is None:
            target = row["span"] if row["kind"] == 4 else row["parent"]
        other = row["m_lo"] is not None
        folded = LinkRecord(_hex(row["m_hi"] if other else hi, row["m_lo"] if other else lo), f"{target:016x}")
        span_links: tuple[LinkRecord, ...] = (folded,)
    else:
        span_links = tuple(_link(link) for link in links)
    status = STATUSES[row["status"]]
    return SpanRecord(
        _hex(hi, lo),
        f"{row['span']:016x}",
        None if row["parent"] is None else f"{row['parent']:016x}",
        row["name"],
        KINDS[row["kind"]],
        row["start_ns"],
        row["start_ns"] + row["duration_ns"],
        attributes,
        tuple(EventRecord(event["n"], event["t"], event["a"]) for event in decoded.get("e", ())),
        span_links,
        status,
        decoded.get("d"),
        row["trace_state"],
        row["service"],
        decoded.get("s"),
    )


def _link(link: Mapping[str, Any]) -> LinkRecord:
    attributes = dict(json.loads(link["rest"])) if link["rest"] else {}
    for key, column in zip(_OF_LINK, ("destination", "part", "pos"), strict=True):
        if link[column] is not None and key not in attributes:
            attributes[key] = link[column]
    return LinkRecord(_hex(link["m_hi"], link["m_lo"]), f"{link['m_span']:016x}", attributes)


def _halves(trace_id: str) -> tuple[int, int]:
    return int(trace_id[:16], 16), int(trace_id[16:], 16)


def _hex(hi: int, lo: int) -> str:
    return f"{hi:016x}{lo:016x}"
