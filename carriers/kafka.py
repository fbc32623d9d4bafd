"""Kafka record headers: an ordered list of (name, bytes or null), in which a name may stand many times.

Kafka says nothing about duplicates; its own client reads the last one (``Headers.lastHeader``), and so does this
carrier. Names are exact. Clients hand the headers over as a list or tuple of pairs, or as a dict, or as None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mqtrace.carriers import _text
from mqtrace.carriers._protocol import PREFIXED
from mqtrace.carriers.mapping import Mapping

__all__ = ["KafkaHeaders"]

_PAIRS = (list, tuple)  # made once: `list | tuple` would be a new object at every call


class KafkaHeaders:
    """Reads and writes ``list``, ``tuple`` or ``dict`` of ``str`` to ``bytes | str | None``; None is no headers.

    A list and a dict are changed in place; a tuple is replaced by a new tuple, None by a new list: pass
    :attr:`native` on. Values are written as bytes. Anything else holds no header and is left as it is, so that
    the client itself says what is wrong with it.
    """

    __slots__ = ("native",)

    #: The headers to pass on to the client.
    native: Any

    def __init__(self, native: Any = None) -> None:
        self.native = native

    def get(self, name: str) -> str | None:
        """The text of the last header of this name; None if that is null, undecodable or missing."""
        native = self.native
        if isinstance(native, _PAIRS):
            for header in reversed(native):
                try:
                    key, value = header
                    if key == name:
                        # the common case without a call; _text.read does the others
                        return value.decode() if type(value) is bytes else _text.read(value)
                except (TypeError, ValueError):  # not a pair, or (UnicodeDecodeError is a ValueError) not text
                    if _is_named(header, name):
                        return None
        elif isinstance(native, dict):
            return _text.read(native.get(name))
        return None

    def find(self, wanted: frozenset[str], prefix: str | None = None) -> dict[str, str | None]:
        """The texts of these names, and of those with the prefix, in one pass; see :func:`mqtrace.carriers.find`."""
        native = self.native
        if isinstance(native, dict):
            return Mapping(native).find(wanted, prefix)
        if not isinstance(native, _PAIRS):
            return {}
        values: dict[str, Any] = {}
        try:
            if prefix is None:
                for name, value in native:
                    if name in wanted:
                        values[name] = value
            else:
                length, left = len(prefix), PREFIXED
                for name, value in native:
                    if name in wanted:
                        values[name] = value
                    elif left and name[:length] == prefix:
                        left -= name not in values
                        values[name] = value
        except (TypeError, ValueError):  # not pairs, or names without a hash
            return self._find_slowly(wanted, prefix)
        return {name: _text.bounded(value) for name, value in values.items()}

    def _find_slowly(self, wanted: frozenset[str], prefix: str | None) -> dict[str, str | None]:
        """The same if something among the headers is not a header."""
        named = [header for header in self.native if _is_pair(header) and isinstance(header[0], str)]
        return KafkaHeaders(named).find(wanted, prefix)

    def set(self, name: str, value: str) -> None:
        """Make this the only header of the name."""
        native = self.native
        if isinstance(native, dict):
            native[name] = _text.write(value)
        elif isinstance(native, list):
            self._drop(native, name)
            native.append((name, _text.write(value)))
        elif isinstance(native, tuple):
            self.native = (*_without(native, name), (name, _text.write(value)))
        elif native is None:
            self.native = [(name, _text.write(value))]

    def remove(self, name: str) -> None:
        """Remove every header of this name."""
        native = self.native
        if isinstance(native, dict):
            native.pop(name, None)
        elif isinstance(native, list):
            self._drop(native, name)
        elif isinstance(native, tuple):
            self.native = tuple(_without(native, name))

    def names(self) -> list[str]:
        """Each name once, in the order of its first header; also of headers whose value is not text."""
        native = self.native
        if isinstance(native, _PAIRS):
            try:
                all_names: list[Any] = [name for name, _ in native]
            except (TypeError, ValueError):
                all_names = [header[0] for header in native if _is_pair(header)]
        elif isinstance(native, dict):
            all_names = list(native)
        else:
            return []
        return list(dict.fromkeys([name for name in all_names if isinstance(name, str)]))

    @staticmethod
    def _drop(native: list[Any], name: str) -> None:
        others = _without(native, name)
        if len(others) != len(native):
            native[:] = others


def _is_pair(header: object) -> bool:
    return isinstance(header, tuple | list) and len(header) == 2


def _is_named(header: Any, name: str) -> bool:
    return _is_pair(header) and isinstance(header[0], str) and bool(header[0] == name)


def _without(native: Sequence[Any], name: str) -> list[Any]:
    return [header for header in native if not _is_named(header, name)]
