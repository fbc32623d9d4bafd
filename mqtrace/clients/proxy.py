"""What every traced client is: the client itself in everything but the calls that are traced.

What is traced is written once a client, as a class of overridden methods that call ``super()``: a subclass of
:class:`Traced`. What ``super()`` reaches is one of two things. The traced class of a client's class inherits from both,
so its objects are clients, and nothing is forwarded. An object that somebody else made cannot change its class, so a
:class:`Proxy` stands in for it: ``super()`` reaches the object's methods, and ``__class__`` says what the object is.

Whatever is ours of an object is in one slot, ``_mqtrace``; every other name is the client's or the user's.
"""

from __future__ import annotations

import abc
import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

__all__ = [
    "Proxy",
    "State",
    "Traced",
    "is_traced",
    "know",
    "stand_in",
    "state_of",
    "traced_class",
    "traced_kind",
    "traced_once",
    "unwrap",
    "wrapped",
]

_set = object.__setattr__


class State:
    """What is ours of one traced client: the value of its ``_mqtrace``."""

    __slots__ = ("__weakref__", "raw")

    def __init__(self) -> None:
        #: The object that a proxy stands in for; None if it is of a traced class: it is the client.
        self.raw: Any = None

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """The object of a traced class is about to be constructed with these arguments."""

    def opened(self, client: Any) -> None:
        """The object of a traced class has been constructed."""

    def unwrapped(self, client: Any) -> None:
        """``unwrap`` was called: what was wrapped, or the object of a traced class, is to be as without us."""


#: What ``super()`` reaches from :class:`Traced`: a client, of whatever kind.
_Client: Any = object


class Traced(_Client):  # type: ignore[misc]  # so that the type checker takes what super() reaches for anything
    """The base of the classes that override what is traced. Such a class has no names but the client's."""

    __slots__ = ()
    _mqtrace: Any
    #: Methods that a proxy keeps bound, because looking them up on the object costs more than calling them.
    _mqtrace_bound: ClassVar[tuple[str, ...]] = ()
    #: The class that a traced class was made of.
    _mqtrace_wraps: ClassVar[type | None] = None


# ---------------------------------------------------------------------- traced classes


def traced_class(
    client: type,
    traced: type[Traced],
    state: Callable[[], State],
    methods: Mapping[str, Any] = MappingProxyType({}),
    *,
    has_dict: bool = False,
) -> type:
    """The traced class of a client's class: a subclass of ``traced`` and of ``client``.

    ``state`` makes the state of an object that has not been constructed. ``methods``: further methods of the class, by
    the names of the client's. ``has_dict``: whether methods are replaced on its objects.
    """

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        create: Any = super(made, cls).__new__
        self = create(cls) if create is object.__new__ else create(cls, *args, **kwargs)
        _set(self, "_mqtrace", state())
        return self

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        own = self._mqtrace
        own.configure(args, kwargs)
        # To a constructor written in C no keywords are not the same as none: given an empty dict, it forgets to refuse.
        if kwargs:
            super(made, self).__init__(*args, **kwargs)
        else:
            super(made, self).__init__(*args)
        own.opened(self)

    def __subclasshook__(cls: type, other: type) -> Any:
        """Whatever is a client is one of these too: what the client's class answers, this one answers."""
        if cls is made and issubclass(other, client):
            return True
        return super(made, cls).__subclasshook__(other)

    slots = ["_mqtrace"]
    if not client.__weakrefoffset__:
        slots.append("__weakref__")
    if has_dict and not client.__dictoffset__:
        slots.append("__dict__")
    namespace = {
        **methods,
        "__doc__": client.__doc__,
        "__module__": client.__module__,
        "__qualname__": client.__qualname__,
        "__slots__": tuple(slots),
        "__new__": functools.wraps(client.__new__, assigned=("__doc__",), updated=())(__new__),
        "__init__": functools.wraps(client.__init__, assigned=("__doc__",), updated=())(__init__),  # type: ignore[misc]
        "_mqtrace_wraps": client,
    }
    metaclass: type = type(client)
    if issubclass(abc.ABCMeta, metaclass):
        metaclass = abc.ABCMeta  # not one of ours: a user's class may derive from this one and from an ABC
    if issubclass(metaclass, abc.ABCMeta):
        namespace["__subclasshook__"] = classmethod(__subclasshook__)
    made: Any = metaclass(client.__name__, (traced, client), namespace)
    return made  # type: ignore[no-any-return]  # a metaclass makes a class


_kinds: dict[type, type] = {}


def know(client: type, traced: type) -> None:
    """Say which traced class of a client's class there is already."""
    _kinds[client] = traced


def traced_once(client: type, make: Callable[[], type], *, shared: bool = True) -> type:
    """The traced class of a client's class, made by ``make``; itself where it is traced already.

    ``shared``: whether every call returns the same class.
    """
    if is_traced(client):
        return client
    made = _kinds.get(client) if shared else None
    if made is None:
        made = make()
        if shared:
            know(client, made)
    return made


def traced_kind(
    client: type, base: type, traced: type[Traced], state: Callable[[], State], *, shared: bool = True
) -> type:
    """The traced class of ``base``, a client's class, or of a subclass of it; see :func:`traced_once`.

    A subclass that overrides what is traced, with arguments of its own perhaps, is traced beneath that: its ``super()``
    is the traced class of ``base``.
    """

    def make() -> type:
        names = {name for one in traced.__mro__ if issubclass(one, Traced) for name in vars(one)} & vars(base).keys()
        # As they stand in the classes: what another library has put over a method is a new object at each look.
        own = inspect.getattr_static
        if all(own(client, name) is own(base, name) for name in names - _PYTHON):
            return traced_class(client, traced, state)
        namespace = {name: getattr(client, name) for name in ("__doc__", "__module__", "__qualname__")}
        beneath = traced_class(base, traced, state)
        return type(client)(client.__name__, (client, beneath), {**namespace, "_mqtrace_wraps": client})

    return traced_once(client, make, shared=shared)


def wrapped(
    client: Any, tracer: object, traced_of: Callable[[type], type[Traced] | None], state: Callable[[], State]
) -> Any:
    """What ``wrap`` returns for a client of a make whose objects and classes are traced alike; None for anything else.

    ``traced_of``: what is traced of a class. ``state``: makes the state of an object. ``tracer``: None where that
    follows the default one.
    """
    kind = client if isinstance(client, type) else type(client)
    traced = traced_of(kind)
    if traced is None:
        return None
    if kind is client:
        return traced_once(kind, lambda: traced_class(kind, traced, state), shared=tracer is None)
    own = state()
    own.opened(client)
    return stand_in(traced, client, own)


def is_traced(kind: type) -> bool:
    """Whether objects of this type are traced: a traced class, a class derived from one, or a proxy's."""
    return Traced in kind.__mro__


# ---------------------------------------------------------------------- objects that somebody else made


class Proxy:
    """Stands in for an object, which its state knows as ``raw``: all that its class does not have is that object's."""

    __slots__ = ("__weakref__", "_mqtrace")
    _mqtrace: Any

    def __getattr__(self, name: str) -> Any:
        if name == "_mqtrace":  # not yet set, or the constructor of a client failed
            raise AttributeError(name)
        return getattr(self._mqtrace.raw, name)

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = inspect.getattr_static(type(self), name, None)
        if isinstance(attribute, property) or name == "_mqtrace":
            _set(self, name, value)
            return
        setattr(self._mqtrace.raw, name, value)
        if inspect.ismemberdescriptor(attribute):  # a method that is kept bound, and no longer the object's
            _set(self, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._mqtrace.raw, name)
        if inspect.ismemberdescriptor(inspect.getattr_static(type(self), name, None)):
            _set(self, name, getattr(self._mqtrace.raw, name))

    def __reduce_ex__(self, protocol: Any) -> Any:
        # copy and pickle: as the client does it, which mostly is that it cannot be done
        return self._mqtrace.raw.__reduce_ex__(protocol)

    @property  # type: ignore[misc]  # __class__ is a property of object too, which the type checker does not see
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # read only: nobody may set it
        try:
            return self._mqtrace.raw.__class__  # type: ignore[no-any-return]  # a class
        except AttributeError:
            return type(self)

    def __dir__(self) -> list[str]:
        return dir(self._mqtrace.raw)

    def __repr__(self) -> str:
        return repr(self._mqtrace.raw)

    def __str__(self) -> str:
        return str(self._mqtrace.raw)

    def __format__(self, spec: str) -> str:
        return format(self._mqtrace.raw, spec)

    def __eq__(self, other: object) -> bool:
        return bool(self._mqtrace.raw == _behind(other))

    def __hash__(self) -> int:
        return hash(self._mqtrace.raw)


class _ProxyType(type):
    """The type of a proxy's class: a class method, a static method or a constant of it is the object's class's."""

    def __getattr__(cls, name: str) -> Any:
        kind = None if name == "_mqtrace_kind" else cls._mqtrace_kind()
        if kind is None:
            raise AttributeError(name)
        return getattr(kind, name)


def _behind(thing: Any) -> Any:
    """The object that a proxy stands in for; anything else as it is."""
    return thing._mqtrace.raw if issubclass(type(thing), Proxy) else thing


def stand_in(traced: type[Traced], raw: Any, state: State, bound: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The proxy of an object, traced by the methods of ``traced``. ``state``: its state, whose ``raw`` is set here.

    ``bound``: what its methods are that ``traced`` names as bound, where they are not the object's own.
    """
    kinds = _proxies.setdefault(traced, WeakKeyDictionary())
    kind = type(raw)
    made = kinds.get(kind)
    if made is None:
        below = type("Object", (Proxy,), {"__slots__": (), **_reached(traced)})
        namespace: dict[str, Any] = {
            "__slots__": traced._mqtrace_bound,
            "__module__": traced.__module__,
            **_special(traced, kind),
        }
        namespace["_mqtrace_kind"] = ref(kind)
        made = kinds[kind] = _ProxyType(traced.__name__, (traced, below), namespace)
    state.raw = raw
    _standing[id(raw)] = state
    proxy: Any = object.__new__(made)
    _set(proxy, "_mqtrace", state)
    for name in traced._mqtrace_bound:
        _set(proxy, name, bound[name] if name in bound else getattr(raw, name))
    return proxy


#: The states of those that stand in for an object, by its id. A state holds its object.
_standing: Final[WeakValueDictionary[int, State]] = WeakValueDictionary()


def state_of(client: Any) -> State | None:
    """What is ours of a client: one that is traced, or one that something traced stands in for."""
    if is_traced(type(client)):
        return client._mqtrace  # type: ignore[no-any-return]  # it is always one
    state = _standing.get(id(client))
    return state if state is not None and state.raw is client else None


# By what is traced and the type of the object.
_proxies: dict[type[Traced], WeakKeyDictionary[type, type]] = {}

#: Special methods that say what an object is to Python, which a proxy says by itself.
_PYTHON: Final = frozenset(
    (
        *(
            "__class__",
            "__dict__",
            "__doc__",
            "__module__",
            "__slots__",
            "__weakref__",
            "__annotations__",
            "__annotate__",
        ),
        *("__new__", "__init__", "__del__", "__init_subclass__", "__subclasshook__", "__class_getitem__"),
        *("__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__dir__", "__set_name__", "__sizeof__"),
        *("__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__format__"),
        *("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__"),
        *("__abstractmethods__", "__firstlineno__", "__static_attributes__", "__parameters__", "__orig_bases__"),
        *("__match_args__", "__mro_entries__"),
    )
)


def _reached(traced: type[Traced]) -> dict[str, Any]:
    """What ``super()`` reaches in the methods of ``traced``: the object's own."""
    names = {name for kind in traced.__mro__ if issubclass(kind, Traced) for name in vars(kind)}
    return {
        name: _forward(name, getattr(traced, name))
        for name in names - _PYTHON
        if not name.startswith("_mqtrace") and inspect.isroutine(getattr(traced, name))
    }


def _forward(name: str, method: Any) -> Callable[..., Any]:
    @functools.wraps(method, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def forward(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._mqtrace.raw, name)(*args, **kwargs)

    return forward


def _special(traced: type[Traced], kind: type) -> dict[str, Any]:
    """The special methods of an object's type: Python looks for them on the type, past ``__getattr__``.

    ``__iter__ = None`` and the like say that there is none.
    """
    has = {name for base in traced.__mro__ for name in vars(base)} | vars(object).keys() - _COMPARED
    named = [name for name in dir(kind) if name.startswith("__") and name.endswith("__") and name not in _PYTHON | has]
    compared = [name for name in _COMPARED if getattr(kind, name) is not getattr(object, name)]
    found = {name: getattr(kind, name) for name in {*named} - _COMPARED | {*compared}}
    return {name: None if method is None else _forward_special(name) for name, method in found.items()}


#: Those that every object has, and most refuse.
_COMPARED: Final = frozenset(("__lt__", "__le__", "__gt__", "__ge__"))


def _forward_special(name: str) -> Callable[..., Any]:
    def forward(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        raw = self._mqtrace.raw
        result = getattr(raw, name)(*[_behind(one) for one in args], **kwargs)
        return self if result is raw else result  # __iter__, __enter__, __iadd__ of the object

    forward.__name__ = name
    return forward


# ---------------------------------------------------------------------- back


class Untraced(Proxy):
    """A client of a traced class without its tracing: every method is the client's own."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        client = self._mqtrace.raw
        try:
            return getattr(super(Traced, client), name)
        except AttributeError:
            return getattr(client, name)

    def __enter__(self) -> Any:
        self.__getattr__("__enter__")()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self.__getattr__("__exit__")(*exception)

    def __len__(self) -> int:
        return len(self._mqtrace.raw)


class _Seen:
    """The state of what is untraced."""

    __slots__ = ("raw",)

    def __init__(self, raw: Any) -> None:
        self.raw = raw


def unwrap(client: Any) -> Any:
    """What was wrapped; what is not wrapped is returned as it is.

    An object of a traced class is itself the client: of it there is a view, in which every method is the client's own.
    """
    if isinstance(client, type):
        wraps = client.__dict__.get("_mqtrace_wraps")
        return client if wraps is None else wraps
    kind = type(client)
    if Traced not in kind.__mro__:
        return client
    raw = client._mqtrace.raw
    client._mqtrace.unwrapped(client if raw is None else raw)
    if issubclass(kind, Proxy):
        return raw
    view = Untraced()
    _set(view, "_mqtrace", _Seen(client))
    return view
