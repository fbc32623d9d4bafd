"""A plain mapping of names to text: Celery headers, gRPC metadata, NATS headers, a test's dict.

Names are exact, and a name has one value.
"""

from __future__ import annotations

import collections.abc
from typing import Any

from mqtrace.carriers import _text
from mqtrace.carriers._protocol import PREFIXED

__all__ = ["Mapping"]

_TABLES = (dict, collections.abc.Mapping)  # dict first: to ask the other one takes ten times as long


class Mapping:
    """Reads and writes a mapping of ``str`` to ``str`` (``bytes`` are read too); None is an empty one.

    It is changed in place; where it cannot be (None, a read-only mapping), a new dict replaces it: pass
    :attr:`native` on. Anything else holds no header and is left as it is.
    """

    __slots__ = ("native",)

    #: The object to pass on.
    native: Any

    def __init__(self, native: Any = None) -> None:
        self.native = native

    def get(self, name: str) -> str | None:
        """The text under this name; None if it is not text or missing."""
        table = self._table()
        if table is None:
            return None
        value = table.get(name)
        return value if type(value) is str else _text.read(value)  # the common case without a call

    def find(self, wanted: frozenset[str], prefix: str | None = None) -> dict[str, str | None]:
        """The texts of these names, and of those with the prefix, in one pass; see :func:`mqtrace.carriers.find`."""
        table = self._table()
        if not table:
            return {}
        # a look for each name, or at each, whichever are fewer
        texts: dict[str, str | None] = {}
        for name in wanted if len(wanted) < len(table) else table:
            if name in table and name in wanted:
                texts[name] = _text.bounded(table[name])
        if prefix is not None:
            left = PREFIXED
            for name in table:
                if isinstance(name, str) and name.startswith(prefix):
                    texts[name] = _text.bounded(table[name])
                    left -= 1
                    if not left:
                        break
        return texts

    def set(self, name: str, value: str) -> None:
        """Write the text under this name."""
        table = self._table()
        if table is None:
            if self._is_empty():
                self._replace({name: value})
            return
        try:
            table[name] = value
        except TypeError:  # a read-only mapping has no item assignment
            self._replace({**table, name: value})

    def remove(self, name: str) -> None:
        """Take the name away."""
        table = self._table()
        if table is None or name not in table:
            return
        try:
            del table[name]
        except TypeError:
            self._replace({key: value for key, value in table.items() if key != name})

    def names(self) -> list[str]:
        """The names, also of values that are not text."""
        table = self._table()
        return [name for name in table if isinstance(name, str)] if table is not None else []

    def _table(self) -> Any:
        """The mapping that holds the headers; None if there is none."""
        native = self.native
        return native if isinstance(native, _TABLES) else None

    def _is_empty(self) -> bool:
        """Whether there are no headers yet, rather than something that is not a mapping."""
        return self.native is None

    def _replace(self, table: dict[Any, Any]) -> None:
        self.native = table
