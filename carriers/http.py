"""HTTP header fields: names without case, and a field that may stand several times.

RFC 9110, section 5.3: the lines of one field combine to one value, in order, separated by commas. So a repeated
``tracestate`` is one list, and a repeated ``traceparent`` is malformed. Section 5.5: whitespace around a value is not
part of it. PEP 3333: a WSGI environ has ``HTTP_TRACEPARENT``, its text is bytes read as Latin-1. ASGI: a scope's
``headers`` are pairs of bytes, names in lowercase.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from mqtrace.carriers import _text

__all__ = ["HttpHeaders", "is_environ", "is_scope"]


class HttpHeaders:
    """Reads and writes a dict, a list of pairs (str or bytes), a WSGI environ, an ASGI scope, a message's headers.

    What is mutable is changed in place; a tuple is replaced by a new tuple, None by a new dict: pass :attr:`native`
    on. Text is written as str; among pairs of bytes and in an ASGI scope, as bytes. Anything else holds no header and
    is left as it is.
    """

    __slots__ = ("_form",)

    def __init__(self, native: Any = None) -> None:
        self._form = _form_of(native)

    @property
    def native(self) -> Any:
        """The object to pass on."""
        return self._form.native

    def get(self, name: str) -> str | None:
        """The value of the field, its lines joined with commas; None where one is not text, or there are none."""
        wanted = name.lower()
        values: list[str] = []
        for key, value in self._form.fields(wanted):
            if key == wanted:
                text = _text.read(value)
                if text is None:
                    return None
                values.append(text.strip(" \t"))
        return ",".join(values) if values else None

    def set(self, name: str, value: str) -> None:
        """Make this the only line of the field, whatever the case of the others."""
        self._form.drop(name.lower())
        self._form.add(name, value)

    def remove(self, name: str) -> None:
        """Take every line of the field away, whatever its case."""
        self._form.drop(name.lower())

    def names(self) -> list[str]:
        """Each name once, in lowercase; also of fields whose value is no text."""
        return list(dict.fromkeys([key for key, _ in self._form.fields(None)]))


def is_environ(native: Any) -> bool:
    """Whether this dict is a WSGI (PEP 3333) or CGI environ."""
    return "wsgi.version" in native or "REQUEST_METHOD" in native


def is_scope(native: Any) -> bool:
    """Whether this dict is the scope of an ASGI connection that has headers."""
    if "headers" not in native:
        return False
    headers = native["headers"]
    return (
        native.get("type") in ("http", "websocket")
        and isinstance(headers, Iterable)
        and not isinstance(headers, str | bytes | dict)  # a mapping that happens to have these two names
    )


class _Form(Protocol):
    """One shape of HTTP headers. Names are given in lowercase."""

    native: Any

    def fields(self, wanted: str | None) -> Iterable[tuple[str, Any]]: ...  # at least those of the wanted name
    def drop(self, name: str) -> None: ...
    def add(self, name: str, value: str) -> None: ...


def _form_of(native: Any) -> _Form:
    if isinstance(native, dict):
        if is_environ(native):
            return _Environ(native)
        return _Scope(native) if is_scope(native) else _Table(native)
    if isinstance(native, list | tuple):
        return _Pairs(native)
    return _Table(native)


def _lowered(name: object) -> str | None:
    text = _text.read(name)
    return None if text is None else text.lower()


class _Table:
    """A mapping, or an ``email.message.Message``, which is one but lists repeated fields in ``items()``."""

    def __init__(self, native: Any) -> None:
        self.native = native

    def _is_table(self) -> bool:
        return isinstance(self.native, collections.abc.Mapping) or hasattr(self.native, "get_all")

    def fields(self, wanted: str | None) -> Iterator[tuple[str, Any]]:
        if self._is_table():
            for key, value in self.native.items():
                name = _lowered(key)
                if name is not None:
                    yield name, value

    def drop(self, name: str) -> None:
        if self._is_table():
            # a Message drops every line of the field at the first of these, and does not mind the others
            # keys(), because some classes of headers give pairs, or nothing, when they are iterated over
            same = [key for key in self.native.keys() if _lowered(key) == name]  # noqa: SIM118
            try:
                for key in same:
                    del self.native[key]
            except TypeError:  # a read-only mapping
                self.native = {key: value for key, value in self.native.items() if key not in same}

    def add(self, name: str, value: str) -> None:
        if self.native is None:
            self.native = {}
        if self._is_table():
            try:
                self.native[name] = value
            except TypeError:
                self.native = {**self.native, name: value}


class _Environ:
    """A WSGI environ: ``HTTP_`` and the name in capitals, dashes as underscores."""

    def __init__(self, native: dict[Any, Any]) -> None:
        self.native = native

    def fields(self, wanted: str | None) -> Iterator[tuple[str, Any]]:
        if wanted is not None:
            value = self.native.get(self._key(wanted), self)
            if value is not self:
                yield wanted, self._text(value)
            return
        for key in self.native:
            if isinstance(key, str) and key.startswith("HTTP_"):
                yield key[5:].lower().replace("_", "-"), None

    def drop(self, name: str) -> None:
        self.native.pop(self._key(name), None)

    def add(self, name: str, value: str) -> None:
        self.native[self._key(name)] = _text.write(value).decode("latin-1")

    @staticmethod
    def _key(name: str) -> str:
        return "HTTP_" + name.upper().replace("-", "_")

    @staticmethod
    def _text(value: object) -> object:
        if isinstance(value, str) and not value.isascii():
            try:
                return value.encode("latin-1")
            except UnicodeEncodeError:
                return value  # a server that decoded by itself
        return value


class _Pairs:
    """A list or tuple of (name, value), both str or both bytes."""

    native: Any

    def __init__(self, native: Any) -> None:
        self.native = native

    def _read(self) -> Any:
        return self.native

    def _write(self, pairs: list[Any]) -> None:
        if isinstance(self.native, list):
            self.native[:] = pairs
        else:
            self.native = tuple(pairs)

    def _is_bytes(self) -> bool:
        return any(isinstance(pair, tuple | list) and pair and isinstance(pair[0], bytes) for pair in self._read())

    def fields(self, wanted: str | None) -> Iterator[tuple[str, Any]]:
        for pair in self._read():
            if isinstance(pair, tuple | list) and len(pair) == 2:
                name = _lowered(pair[0])
                if name is not None:
                    yield name, pair[1]

    def drop(self, name: str) -> None:
        pairs = list(self._read())
        kept = [
            pair
            for pair in pairs
            if not (isinstance(pair, tuple | list) and len(pair) == 2 and _lowered(pair[0]) == name)
        ]
        if len(kept) != len(pairs):
            self._write(kept)

    def add(self, name: str, value: str) -> None:
        # bytes are what goes to the wire, where HTTP/2 wants names in lowercase (RFC 9113, section 8.2.1)
        pair = (_text.write(name.lower()), _text.write(value)) if self._is_bytes() else (name, value)
        self._write([*self._read(), pair])


class _Scope(_Pairs):
    """The headers of an ASGI scope: pairs of bytes, names in lowercase, in any iterable."""

    def __init__(self, native: dict[Any, Any]) -> None:
        super().__init__(native)
        if not isinstance(native["headers"], list | tuple):
            native["headers"] = list(native["headers"])  # an iterator would be empty at the second look

    def _read(self) -> Any:
        return self.native["headers"]

    def _write(self, pairs: list[Any]) -> None:
        headers = self.native["headers"]
        if isinstance(headers, list):
            headers[:] = pairs
        else:
            self.native["headers"] = pairs

    def add(self, name: str, value: str) -> None:
        self._write([*self._read(), (_text.write(name.lower()), _text.write(value))])
