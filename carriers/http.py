"""HTTP header fields: names without case, and a field that may stand several times.

RFC 9110, section 5.3: the lines of one field combine to one value, in order, separated by commas. So a repeated
``tracestate`` is one list, and a repeated ``traceparent`` is malformed. Section 5.5: whitespace around a value is not
part of it. PEP 3333: a WSGI environ has ``HTTP_TRACEPARENT``, its text is bytes read as Latin-1. ASGI: a scope's
``headers`` are pairs of bytes, names in lowercase.
"""

from __future__ import annotations

import collections.abc
import functools
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from mqtrace.carriers import _text
from mqtrace.carriers._protocol import PREFIXED

__all__ = ["HttpHeaders", "is_environ", "is_scope"]


# How many lines are read of a message: beyond any limit of the formats, so that what is cut is refused all the same.
_LINES: Final = 1024


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
        """The value of the field, its lines joined with commas; None if one is not text, or there are none."""
        wanted = name.lower()
        values: list[str] = []
        for key, value in self._form.fields(wanted):
            if key == wanted:
                text = _text.read(value)
                if text is None:
                    return None
                values.append(text.strip(" \t"))
        return ",".join(values) if values else None

    def find(self, wanted: frozenset[str], prefix: str | None = None) -> dict[str, str | None]:
        """The texts of these names, and of those with the prefix, in one pass; see :func:`mqtrace.carriers.find`.

        ``wanted`` and ``prefix`` are in lowercase, as :meth:`names` are.
        """
        found: dict[str, list[str] | None] = {}
        for key, value in self._form.among(wanted, prefix):
            text = _text.bounded(value)
            lines = found.setdefault(key, [])
            if text is None or lines is None:
                found[key] = None
            else:
                lines.append(text.strip(" \t"))
        return {key: None if lines is None else _text.bounded(",".join(lines)) for key, lines in found.items()}

    def set(self, name: str, value: str) -> None:
        """Make this the only line of the field, whatever the case of the others."""
        self._form.drop(name.lower())
        self._form.add(name, value)

    def remove(self, name: str) -> None:
        """Remove every line of the field, whatever its case."""
        self._form.drop(name.lower())

    def names(self) -> list[str]:
        """Each name once, in lowercase; also of fields whose value is not text."""
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
    def among(self, wanted: frozenset[str], prefix: str | None) -> Iterable[tuple[str, Any]]: ...
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


def _among(pairs: Iterable[tuple[str, Any]], wanted: frozenset[str], prefix: str | None) -> Iterator[tuple[str, Any]]:
    """The lines of the wanted names and of those with the prefix; only the first ones if there are too many."""
    left, prefixed = _LINES, PREFIXED
    for name, value in pairs:
        if name not in wanted:
            if prefix is None or not prefixed or not name.startswith(prefix):
                continue
            prefixed -= 1
        yield name, value
        left -= 1
        if not left:
            return


@functools.lru_cache(maxsize=32)
def _spelled(wanted: frozenset[str]) -> dict[str | bytes, str]:
    """The wanted names, by themselves and by their bytes."""
    return {name: name for name in wanted} | {name.encode(): name for name in wanted}


@functools.lru_cache(maxsize=32)
def _environ_keys(wanted: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """The keys of the wanted names in a WSGI environ."""
    return tuple((_Environ.key(name), name) for name in {name.lower() for name in wanted})


def _quickly(pairs: Any, wanted: frozenset[str], prefix: str | None) -> list[tuple[str, Any]]:
    """:func:`_among` for well-formed pairs, without a call a header: 60,000 of them take 5 ms instead of 20.

    Raises what a header that is not a pair of two texts makes it raise.
    """
    spelled = _spelled(wanted)
    lines: list[tuple[str, Any]] = []
    if prefix is None:
        length, prefixed = 0, 0
        starts: frozenset[str | bytes] = frozenset()
    else:
        length, prefixed = len(prefix), PREFIXED
        starts = frozenset((prefix, prefix.encode()))
    for name, value in pairs:
        key = name.lower()
        wanted_name = spelled.get(key)
        if wanted_name is None:
            if not prefixed or key[:length] not in starts:
                continue
            prefixed -= 1
            wanted_name = key if isinstance(key, str) else key.decode()
        lines.append((wanted_name, value))
        if len(lines) == _LINES:
            break
    return lines


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

    def among(self, wanted: frozenset[str], prefix: str | None) -> Iterable[tuple[str, Any]]:
        if self._is_table():
            try:
                return _quickly(self.native.items(), wanted, prefix)
            except (TypeError, ValueError, AttributeError):  # names that are neither str nor bytes
                return _among(self.fields(None), wanted, prefix)
        return ()

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
            value = self.native.get(self.key(wanted), self)
            if value is not self:
                yield wanted, self._text(value)
            return
        for key in self.native:
            if isinstance(key, str) and key.startswith("HTTP_"):
                yield key[5:].lower().replace("_", "-"), None

    def among(self, wanted: frozenset[str], prefix: str | None) -> Iterator[tuple[str, Any]]:
        native = self.native
        for key, name in _environ_keys(wanted):
            if key in native:
                yield name, self._text(native[key])
        if prefix is not None:
            start, left = self.key(prefix), PREFIXED
            for key, value in self.native.items():
                if isinstance(key, str) and key.startswith(start):
                    yield key[5:].lower().replace("_", "-"), self._text(value)
                    left -= 1
                    if not left:
                        return

    def drop(self, name: str) -> None:
        self.native.pop(self.key(name), None)

    def add(self, name: str, value: str) -> None:
        self.native[self.key(name)] = _text.write(value).decode("latin-1")

    @staticmethod
    def key(name: str) -> str:
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
    #: Whether bytes were among what was dropped: a list that is empty by now does not say what it held.
    _held_bytes = False

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
        return self._held_bytes or any(
            isinstance(pair, tuple | list) and pair and isinstance(pair[0], bytes) for pair in self._read()
        )

    def fields(self, wanted: str | None) -> Iterator[tuple[str, Any]]:
        for pair in self._read():
            if isinstance(pair, tuple | list) and len(pair) == 2:
                name = _lowered(pair[0])
                if name is not None:
                    yield name, pair[1]

    def among(self, wanted: frozenset[str], prefix: str | None) -> Iterable[tuple[str, Any]]:
        try:
            return _quickly(self._read(), wanted, prefix)
        except (TypeError, ValueError, AttributeError):  # something among them is not a header
            return _among(self.fields(None), wanted, prefix)

    def drop(self, name: str) -> None:
        pairs = list(self._read())
        others = [
            pair
            for pair in pairs
            if not (isinstance(pair, tuple | list) and len(pair) == 2 and _lowered(pair[0]) == name)
        ]
        if len(others) != len(pairs):
            self._held_bytes = self._is_bytes()
            self._write(others)

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
