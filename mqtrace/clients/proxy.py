"""What every wrapped client is: the client itself in everything but the calls that are traced.

By composition: a client written in C cannot be subclassed without its constructor, and a subclass would miss objects
that exist already. ``isinstance(proxy, type(client))`` holds because ``__class__`` says so.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Proxy", "class_attributes", "is_the_users", "unwrap"]

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
        kind = type(self)
        if name in self._slots or "_raw" not in self.__dict__:
            _OWN(self, name, value)
        elif not kind.__module__.startswith("mqtrace.") and (hasattr(kind, name) or not hasattr(self._raw, name)):
            _OWN(self, name, value)  # a user's own subclass of a wrapped class keeps its own
        else:
            setattr(self._raw, name, value)

    def _way(self, name: str) -> Callable[..., Any]:
        """What a call of the client's method ``name`` runs, where this class has no such method of its own."""
        return getattr(self._raw, name)  # type: ignore[no-any-return]  # a method, by the caller's word

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__ and name not in self._slots:
            object.__delattr__(self, name)
        else:
            delattr(self._raw, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # copy and pickle: as the client does it, which mostly is that it cannot be done
        return self._raw.__reduce_ex__(protocol)

    @property  # type: ignore[misc]  # __class__ is a property of object too, which the type checker does not see
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # read only: nobody may set it
        raw = self.__dict__.get("_raw")
        return type(self) if raw is None else type(raw)

    def __dir__(self) -> list[str]:
        return dir(self._raw)

    def __repr__(self) -> str:
        # a traceback through a constructor that failed may be shown with its variables
        return repr(self._raw) if "_raw" in self.__dict__ else object.__repr__(self)

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


def class_attributes(client: type, base: type) -> dict[str, Any]:
    """What the traced class of ``client`` has beside what ``base`` has: the client's own methods and constants.

    An instance would find them by itself; ``super()`` in a user's subclass, ``help`` and a class method would not.
    """
    found: dict[str, Any] = {}
    for name in dir(client):
        if name.startswith("_") or hasattr(base, name):
            continue
        attribute = inspect.getattr_static(client, name)
        if inspect.isroutine(attribute) and not isinstance(attribute, (classmethod, staticmethod)):
            found[name] = _forward(name, attribute)
        elif isinstance(attribute, (classmethod, staticmethod)) or not hasattr(attribute, "__get__"):
            found[name] = attribute
    return found


def _forward(name: str, method: Any) -> Callable[..., Any]:
    @functools.wraps(method, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def forward(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        return self._way(name)(*args, **kwargs)

    forward._mqtrace_forwards = True  # type: ignore[attr-defined]  # for is_the_users
    return forward


def is_the_users(kind: type, name: str) -> bool:
    """Whether a user's subclass of a traced class has a method of this name."""
    method = getattr(kind, name, None)
    return method is not None and not hasattr(method, "_mqtrace_forwards")


def unwrap(client: Any) -> Any:
    """The client that was wrapped; what is not wrapped is given back."""
    if issubclass(type(client), Proxy):
        return client.__dict__.get("_raw", client)
    return getattr(client, "_mqtrace_wraps", client) if isinstance(client, type) else client
