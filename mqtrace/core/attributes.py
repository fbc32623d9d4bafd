"""Attributes: which values a span accepts, and how many bytes they keep.

OpenTelemetry's common specification: a key is a non-empty string; a value a string, a boolean, an integer of 64 bits,
a double, bytes, or a list of those. Any other value is refused, and the caller counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

__all__ = ["ENTRY", "Attribute", "Limits", "clean", "lowered", "pairs", "text", "weight", "weight_of"]

Attribute: TypeAlias = str | bool | int | float | bytes | tuple[str | bool | int | float | bytes, ...]

#: Bytes of one entry of a dict, its share of the free entries included.
ENTRY: Final = 100
_INT64: Final = 1 << 63


class Limits:
    """How much one span may hold: OTEL_SPAN_*_COUNT_LIMIT, OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT,
    OTEL_LINK_ATTRIBUTE_COUNT_LIMIT and OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT (None: no limit).
    """

    __slots__ = ("attributes", "event_attributes", "events", "link_attributes", "links", "value_length")

    def __init__(
        self,
        attributes: int = 128,
        events: int = 128,
        links: int = 128,
        value_length: int | None = None,
        *,
        event_attributes: int = 128,
        link_attributes: int = 128,
    ) -> None:
        self.attributes = attributes
        self.events = events
        self.links = links
        #: Of one event, and of one link.
        self.event_attributes = event_attributes
        self.link_attributes = link_attributes
        self.value_length = value_length


def clean(value: object, length: int | None) -> Attribute | None:
    """The value as a span keeps it: text and bytes cut to ``length``, a list as a tuple. None if it is refused."""
    kind = type(value)
    if kind is str or kind is bytes:
        return value[:length]  # type: ignore[index,no-any-return]  # str or bytes, told apart by the line above
    if kind is bool or kind is float:
        return value  # type: ignore[return-value]  # bool or float, see above
    if kind is int:
        return value if -_INT64 <= value < _INT64 else None  # type: ignore[operator,return-value]  # an int, see above
    try:
        return _convert(value, length)
    except Exception:  # noqa: BLE001  # a user's own class of number or list may raise anything
        return None


def _convert(value: object, length: int | None) -> Attribute | None:
    if isinstance(value, int):
        number = int(value)
        return number if -_INT64 <= number < _INT64 else None
    if isinstance(value, str):
        return str.__str__(value)[:length]
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)[:length]
    if isinstance(value, (list, tuple)):
        items = [clean(item, length) for item in value if not isinstance(item, (list, tuple))]
        if len(items) != len(value) or any(item is None for item in items):
            return None
        return tuple(items)  # type: ignore[arg-type]  # no None and no nested tuple is left
    return None


def text(value: object) -> str | None:
    """A name as a ``str``, also if it is of a subclass (a StrEnum's member). None if it is not text."""
    if type(value) is str:
        return value
    return str.__str__(value) if isinstance(value, str) else None


def lowered(choice: object) -> str | None:
    """A choice among a few words, in lowercase; of an enum's member that is no text (SpanKind.CLIENT), its name.

    None if it is neither.
    """
    word = text(choice)
    if word is None and isinstance(choice, Enum):
        word = text(choice._name_)
    return None if word is None else word.lower()


def pairs(attributes: Any) -> list[tuple[object, object]] | None:
    """The items of a mapping; None if it is not one. Never raises, whatever a user's own mapping does."""
    try:
        return [(key, value) for key, value in attributes.items()]
    except Exception:  # noqa: BLE001  # a user's mapping may raise anything
        return None


def weight(value: Attribute) -> int:
    """About how many bytes a value keeps in memory. A text takes up to four a character."""
    if isinstance(value, tuple):
        return 40 + sum([weight(item) + 8 for item in value])
    return value.__sizeof__()


def weight_of(attributes: Mapping[str, Attribute]) -> int:
    """About how many bytes a dict of attributes keeps in memory, names included."""
    return 64 + sum([ENTRY + key.__sizeof__() + weight(value) for key, value in attributes.items()])
