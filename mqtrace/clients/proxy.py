"""What every wrapped client is: the client itself in everything but the calls that are traced.

By composition: a client written in C cannot be subclassed without its constructor, and a subclass would miss objects
that exist already. ``isinstance(proxy, type(client))`` holds because ``__class__`` says so.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Proxy", "unwrap"]

_OWN: Final = object.__setattr__


class Proxy:
    """Gives every attribute of ``_raw`` that its subclass does not have; sets those that its subclass does not own.

    A subclass names its own attributes in ``_slots`` so that what a user sets lands on the client.
    """

    _slots: frozenset[str] = frozenset({"_raw"})
    _raw: Any

    def __getattr__(self, name: str) -> Any:
        # "_raw" is missing only while the constructor of the client fails
        if name == "_raw":
            raise AttributeError(name)
        return getattr(self._raw, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._slots or "_raw" not in self.__dict__:
            _OWN(self, name, value)
            return
        try:
            setattr(self._raw, name, value)
        except AttributeError:
            if type(self).__module__.startswith("mqtrace."):
                raise
            _OWN(self, name, value)  # a user's own subclass of a wrapped class keeps its own

    def __delattr__(self, name: str) -> None:
        delattr(self._raw, name)

    @property  # type: ignore[misc]  # __class__ is a property of object too, which the type checker does not see
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # read only: nobody may set it
        raw = self.__dict__.get("_raw")
        return type(self) if raw is None else type(raw)

    def __dir__(self) -> list[str]:
        return dir(self._raw)

    def __repr__(self) -> str:
        return repr(self._raw)

    def __str__(self) -> str:
        return str(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __bool__(self) -> bool:
        return bool(self._raw)

    def __eq__(self, other: object) -> bool:
        return bool(self._raw == unwrap(other))

    def __hash__(self) -> int:
        return hash(self._raw)


def unwrap(client: Any) -> Any:
    """The client that was wrapped; what is not wrapped is given back."""
    if issubclass(type(client), Proxy):
        return client.__dict__.get("_raw", client)
    return getattr(client, "_mqtrace_wraps", client) if isinstance(client, type) else client
