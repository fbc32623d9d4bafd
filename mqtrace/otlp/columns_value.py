"""The value of an attribute for its column, and as JSON for ``rest``: the same rule for every reader."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from .columns import ATTRIBUTES, COLUMNS, LEGACY, LEGACY_OPERATIONS

__all__ = ["MOST_TEXT", "Entry", "column_value", "cut", "entry", "fragment", "json_value", "short", "threshold"]

#: Bytes of text in one attribute that are kept (mqtrace.flow says so where it shows one).
MOST_TEXT: Final = 65_536
#: A text that is shorter is not cut; ``_quoted`` is what ``json.dumps`` does for a text.
_MOST_SHORT: Final = MOST_TEXT // 4
_quoted: Final = json.encoder.encode_basestring
_CUT: Final = "... (cut at 64 KB)"
_PLACES: Final = {name: place for place, name in enumerate(COLUMNS)}
_TYPES: Final[Mapping[str, type]] = {
    name: {"VARCHAR": str, "DOUBLE": float}.get(sql, int) for name, sql in COLUMNS.items()
}
_INT64: Final = 1 << 63
_TEXTUAL: Final = frozenset(("part",))
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_THRESHOLD: Final = re.compile(r"(?:^|,)[ \t]*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?=;|,|[ \t]*(?:,|$))")

#: Key; place of its column, -1 for none; the value there; JSON for ``rest``, None if the column holds it exactly;
#: whether the key is an older name, which counts only if the span has no newer one.
Entry = tuple[str, int, Any, str | None, bool]


def entry(key: str, value: Any) -> Entry:
    """The entry of an attribute."""
    wanted = ATTRIBUTES.get(key)
    if wanted is not None:
        column, exact = wanted
        in_column = column_value(column, value)
        if type(value) is exact and in_column == value and (exact is not str or value):
            return key, _PLACES[column], in_column, None, False
        return key, _PLACES[column], in_column, fragment(key, value), False
    older = LEGACY.get(key)
    if older is not None:
        in_column = column_value(older, value)
        if older == "operation":
            in_column = LEGACY_OPERATIONS.get(in_column, in_column)
        return key, _PLACES[older], in_column, fragment(key, value), True
    return key, -1, None, fragment(key, value), False


def column_value(column: str, value: Any) -> Any:
    """The value as the column holds it; None if the column cannot hold it."""
    kind = _TYPES[column]
    if kind is str:
        if isinstance(value, str):
            return (value if len(value) <= MOST_TEXT else cut(value)) or None
        if column in _TEXTUAL and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return None
    if isinstance(value, bool):
        return None
    if kind is int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        return value if isinstance(value, int) and -_INT64 <= value < _INT64 else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    return float(value) if isinstance(value, (int, float)) and 0 <= value < math.inf else None


def cut(text: str) -> str:
    """At most 64 KB of a text, with a note if it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MOST_TEXT:
        return text
    return encoded[: MOST_TEXT - len(_CUT)].decode("utf-8", "ignore") + _CUT


def short(text: str) -> str:
    """The same, without encoding a text that is surely short enough."""
    return text if len(text) <= MOST_TEXT // 4 else cut(text)


def fragment(key: str, value: Any) -> str:
    """``"key":value``, a member of a JSON object."""
    if type(value) is str and len(value) < _MOST_SHORT and len(key) < _MOST_SHORT:
        return f"{_quoted(key)}:{_quoted(value)}"
    if len(key) > MOST_TEXT:
        key = cut(key)
    text = json.dumps(json_value(value), ensure_ascii=False, separators=(",", ":"))
    if len(text) > MOST_TEXT and not isinstance(value, str):
        text = json.dumps(cut(text), ensure_ascii=False)  # a list or mapping: what there is of it, as text
    return f"{json.dumps(key, ensure_ascii=False)}:{text}"


def json_value(value: Any) -> Any:
    """A value that JSON can hold: bytes become text in hex, and floats that are not finite become text."""
    if isinstance(value, str):
        return short(value)
    if isinstance(value, Mapping):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return cut(value[:MOST_TEXT].hex())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def threshold(trace_state: str) -> int | None:
    """The rejection threshold of consistent sampling in a tracestate, of 56 bits; None if there is none."""
    if "th:" not in trace_state:
        return None
    match = _THRESHOLD.search(trace_state)
    return int(match[1].ljust(14, "0"), 16) if match else None
