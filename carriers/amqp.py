"""An AMQP 0-9-1 header table: ``basic.properties.headers``, a mapping of names to typed values.

Text arrives as str or as bytes, depending on the client and on the field type of the sender ('S' long string, 'x'
byte array); every other type (numbers, tables, arrays, timestamps) is no text. Names are exact. A message without
headers has no table at all: pika and kombu say None.
"""

from __future__ import annotations

import collections.abc
from typing import Any

from mqtrace.carriers.mapping import Mapping

__all__ = ["AmqpTable"]


class AmqpTable(Mapping):
    """Reads and writes a header table, or the ``headers`` of pika's BasicProperties or of a kombu message.

    A table is changed in place; None and an object whose ``headers`` is None get a new dict: pass :attr:`native` on.
    Values are written as str. What is neither holds no header and is left as it is.
    """

    __slots__ = ()

    def _table(self) -> Any:
        native = self.native
        if isinstance(native, dict):
            return native
        if not isinstance(native, collections.abc.Mapping):
            native = getattr(native, "headers", None)
        return native if isinstance(native, collections.abc.Mapping) else None

    def _is_empty(self) -> bool:
        return self.native is None or getattr(self.native, "headers", False) is None

    def _replace(self, table: dict[Any, Any]) -> None:
        if self.native is None or isinstance(self.native, collections.abc.Mapping):
            self.native = table
        else:
            self.native.headers = table
