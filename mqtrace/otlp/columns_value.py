"""A value for its column, and as JSON for ``rest``: one rule for every reader."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from .columns import ATTRIBUTES, COLUMNS, LEGACY, LEGACY_OPERATIONS

__all__ = ["MOST_TEXT", "Entry", "column_value", "cut", "entry", "fragment", "plain", "short", "threshold"]

#: Bytes of text in one attribute that are kept (mqtrace.flow says so where it shows one).
MOST_TEXT: Final = 65_536
#: What needs no cut, and what ``json.dumps`` does for a text alone.
_PLAINLY: Final = MOST_TEXT // 4
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

#: key; place of its column, -1 for none; the value for that; JSON for ``rest``, None where the column holds it exactly;
#: whether it holds only where no newer name says the same.
Entry = tuple[str, int, Any, str | None, bool]


def entry(key: str, value: Any) -> Entry:
    """What becomes of an attribute."""
    wanted = ATTRIBUTES.get(key)
    if wanted is not None:
        column, exact = wanted
        kept = column_value(column, value)
        if type(value) is exact and kept == value and (exact is not str or value):
            return key, _PLACES[column], kept, None, False
        return key, _PLACES[column], kept, fragment(key, value), False
    older = LEGACY.get(key)
    if older is not None:
        kept = column_value(older, value)
        if older == "operation":
            kept = LEGACY_OPERATIONS.get(kept, kept)
        return key, _PLACES[older], kept, fragment(key, value), True
    return key, -1, None, fragment(key, value), False


def column_value(column: str, value: Any) -> Any:
    """The value as the column holds it; None where it says nothing there."""
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
    """At most 64 KB of a text, and that it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MOST_TEXT:
        return text
    return encoded[: MOST_TEXT - len(_CUT)].decode("utf-8", "ignore") + _CUT


def short(text: str) -> str:
    """The same for nearly every text, asked without encoding it."""
    return text if len(text) <= MOST_TEXT // 4 else cut(text)


def fragment(key: str, value: Any) -> str:
    """``"key":value``, a member of a JSON object."""
    if type(value) is str and len(value) < _PLAINLY and len(key) < _PLAINLY:
        return f"{_quoted(key)}:{_quoted(value)}"
    if len(key) > MOST_TEXT:
        key = cut(key)
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    if len(text) > MOST_TEXT and not isinstance(value, str):
        text = json.dumps(cut(text), ensure_ascii=False)  # a list or mapping: what there is of it, as text
    return f"{json.dumps(key, ensure_ascii=False)}:{text}"


def plain(value: Any) -> Any:
    """What JSON has no form for, as text: bytes in hex, and the floats that are not numbers."""
    if isinstance(value, str):
        return short(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return cut(value[:MOST_TEXT].hex())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def threshold(trace_state: str) -> int | None:
    """The rejection threshold that consistent sampling left there, of 56 bits; None where it says none."""
    if "th:" not in trace_state:
        return None
    found = _THRESHOLD.search(trace_state)
    return int(found[1].ljust(14, "0"), 16) if found else None
