"""What every traced client is: the client itself in everything but the calls that are traced.

The traced calls of a client are the methods of a subclass of :class:`Traced`, which call ``super()``. There are two
ways to put them over the client's own methods. The traced class of a client's class inherits from both, so its objects
are clients, and nothing is forwarded. An object that exists already cannot change its class, so a :class:`Proxy` stands
in for it: ``super()`` calls the object's methods, and ``__class__`` is the object's class.

The state of a traced client is in one slot, ``_mqtrace``; every other name is the client's or the user's.
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
    "register",
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
    """The state of one traced client: the value of its ``_mqtrace``."""

    __slots__ = ("__weakref__", "raw")

    def __init__(self) -> None:
        #: The object that a proxy stands in for; None if the client is an object of a traced class.
        self.raw: Any = None

    def configure(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """The object of a traced class is about to be constructed with these arguments."""

    def opened(self, client: Any) -> None:
        """The object of a traced class has been constructed."""

    def unwrapped(self, client: Any) -> None:
        """``unwrap`` was called: undo what tracing has changed on the client, or on the object of a traced class."""


#: The class after :class:`Traced` in the resolution order: a client's.
_Client: Any = object


class Traced(_Client):  # type: ignore[misc]  # the type checker takes it for Any, and so each super()
    """The base of the classes that override the traced methods. Such a class has no names but the client's."""

    __slots__ = ()
    _mqtrace: Any
    #: Methods that a proxy keeps bound, because to look them up on the object takes longer than to call them.
    _mqtrace_bound: ClassVar[tuple[str, ...]] = ()
    #: The client's class that a traced class was made from.
    _mqtrace_wraps: ClassVar[type | None] = None


# ---------------------------------------------------------------------- traced classes


def traced_class(
    client: type,
    traced: type[Traced],
    make_state: Callable[[], State],
    methods: Mapping[str, Any] = MappingProxyType({}),
    *,
    has_dict: bool = False,
) -> type:
    """The traced class of a client's class: a subclass of ``traced`` and of ``client``.

    ``make_state`` is called for each object before its constructor. ``methods``: other methods of the client to
    override, by name. ``has_dict``: whether methods are replaced on its objects.
    """

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        create: Any = super(new_class, cls).__new__
        self = create(cls) if create is object.__new__ else create(cls, *args, **kwargs)
        _set(self, "_mqtrace", make_state())
        return self

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        state = self._mqtrace
        state.configure(args, kwargs)
        # With an empty dict of keywords, a constructor written in C does not refuse what it refuses without one.
        if kwargs:
            super(new_class, self).__init__(*args, **kwargs)
        else:
            super(new_class, self).__init__(*args)
        state.opened(self)

    def __subclasshook__(cls: type, other: type) -> Any:
        """Every subclass of the client's class is one of this class too; otherwise as the client's class answers."""
        if cls is new_class and issubclass(other, client):
            return True
        return super(new_class, cls).__subclasshook__(other)

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
        metaclass = abc.ABCMeta  # not a metaclass of ours: a user's class may derive from this class and from an ABC
    if issubclass(metaclass, abc.ABCMeta):
        namespace["__subclasshook__"] = classmethod(__subclasshook__)
    new_class: Any = metaclass(client.__name__, (traced, client), namespace)
    return new_class  # type: ignore[no-any-return]  # a metaclass makes a class


_traced_classes: dict[type, type] = {}


def register(client: type, traced: type) -> None:
    """Register the traced class of a client's class, which every ``wrap`` without arguments of its own returns."""
    _traced_classes[client] = traced


def traced_once(client: type, make: Callable[[], type], *, shared: bool = True) -> type:
    """The traced class of a client's class, made by ``make`` at the first call; itself if it is traced already.

    ``shared``: whether every call returns the same class.
    """
    if is_traced(client):
        return client
    if not shared:
        return make()
    if client not in _traced_classes:
        register(client, make())
    return _traced_classes[client]


def traced_kind(
    client: type, base: type, traced: type[Traced], make_state: Callable[[], State], *, shared: bool = True
) -> type:
    """The traced class of ``base``, a client's class, or of a subclass of it; see :func:`traced_once`.

    A subclass may override traced methods, even with other arguments. It is then traced below its own methods: the
    traced class of ``base`` is what its ``super()`` reaches.
    """

    def make() -> type:
        names = {name for one in traced.__mro__ if issubclass(one, Traced) for name in vars(one)} & vars(base).keys()
        # getattr_static: a method that another library has wrapped is a new object at each ordinary look-up.
        look_up = inspect.getattr_static
        if all(look_up(client, name) is look_up(base, name) for name in names - _NOT_FORWARDED):
            return traced_class(client, traced, make_state)
        namespace = {name: getattr(client, name) for name in ("__doc__", "__module__", "__qualname__")}
        below = traced_class(base, traced, make_state)
        return type(client)(client.__name__, (client, below), {**namespace, "_mqtrace_wraps": client})

    return traced_once(client, make, shared=shared)


def wrapped(
    client: Any, tracer: object, traced_of: Callable[[type], type[Traced] | None], make_state: Callable[[], State]
) -> Any:
    """The traced client, or the traced class of a client's class; None if ``traced_of`` returns None.

    ``traced_of``: returns the traced methods of a class. ``make_state``: makes the state of an object. ``tracer``: None
    if that state follows the default tracer.
    """
    kind = client if isinstance(client, type) else type(client)
    traced = traced_of(kind)
    if traced is None:
        return None
    if kind is client:
        return traced_once(kind, lambda: traced_class(kind, traced, make_state), shared=tracer is None)
    state = make_state()
    state.opened(client)
    return stand_in(traced, client, state)


def is_traced(kind: type) -> bool:
    """Whether objects of this type are traced: it is a traced class, derives from one, or is a proxy's class."""
    return Traced in kind.__mro__


# ---------------------------------------------------------------------- objects that exist already


class Proxy:
    """Stands in for an object, the ``raw`` of its state: every attribute that its class lacks is that object's."""

    __slots__ = ("__weakref__", "_mqtrace")
    _mqtrace: Any

    def __getattr__(self, name: str) -> Any:
        if name == "_mqtrace":  # it is not set yet, or the constructor of the client failed
            raise AttributeError(name)
        return getattr(self._mqtrace.raw, name)

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = inspect.getattr_static(type(self), name, None)
        if isinstance(attribute, property) or name == "_mqtrace":
            _set(self, name, value)
            return
        setattr(self._mqtrace.raw, name, value)
        if inspect.ismemberdescriptor(attribute):  # a method that is kept bound: the user has replaced it
            _set(self, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._mqtrace.raw, name)
        if inspect.ismemberdescriptor(inspect.getattr_static(type(self), name, None)):
            _set(self, name, getattr(self._mqtrace.raw, name))

    def __reduce_ex__(self, protocol: Any) -> Any:
        # copy and pickle behave as with the client, which mostly refuses both
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
        return bool(self._mqtrace.raw == _raw(other))

    def __hash__(self) -> int:
        return hash(self._mqtrace.raw)


class _ProxyType(type):
    """The metaclass of proxies: class methods, static methods and constants are those of the object's class."""

    def __getattr__(cls, name: str) -> Any:
        kind = None if name == "_mqtrace_kind" else cls._mqtrace_kind()
        if kind is None:
            raise AttributeError(name)
        return getattr(kind, name)


def _raw(thing: Any) -> Any:
    """The object that a proxy stands in for; anything else as it is."""
    return thing._mqtrace.raw if issubclass(type(thing), Proxy) else thing


def stand_in(traced: type[Traced], raw: Any, state: State, bound: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The proxy of an object, with the methods of ``traced``. ``state``: its state, whose ``raw`` is set here.

    ``bound``: functions to keep instead of the object's own methods, by the names in ``_mqtrace_bound`` of ``traced``.
    """
    proxy_classes = _proxy_classes.setdefault(traced, WeakKeyDictionary())
    kind = type(raw)
    proxy_class = proxy_classes.get(kind)
    if proxy_class is None:
        below = type("Object", (Proxy,), {"__slots__": (), **_forwards(traced)})
        namespace: dict[str, Any] = {
            "__slots__": traced._mqtrace_bound,
            "__module__": traced.__module__,
            **_special(traced, kind),
            "_mqtrace_kind": ref(kind),
        }
        proxy_class = proxy_classes[kind] = _ProxyType(traced.__name__, (traced, below), namespace)
    state.raw = raw
    _states[id(raw)] = state
    proxy: Any = object.__new__(proxy_class)
    _set(proxy, "_mqtrace", state)
    for name in traced._mqtrace_bound:
        _set(proxy, name, bound[name] if name in bound else getattr(raw, name))
    return proxy


#: The states of proxies, by the id of the object that a state holds.
_states: Final[WeakValueDictionary[int, State]] = WeakValueDictionary()


def state_of(client: Any) -> State | None:
    """The state of a client that is traced, or that a proxy stands in for; None for any other."""
    if is_traced(type(client)):
        return client._mqtrace  # type: ignore[no-any-return]  # it is always one
    state = _states.get(id(client))
    return state if state is not None and state.raw is client else None


# By the traced methods and the type of the object.
_proxy_classes: dict[type[Traced], WeakKeyDictionary[type, type]] = {}

#: Special names that are not forwarded: Python needs the proxy's own.
_NOT_FORWARDED: Final = frozenset(
    (
        *("__class__", "__dict__", "__doc__", "__module__", "__slots__", "__weakref__"),
        *("__annotations__", "__annotate__"),
        *("__new__", "__init__", "__del__", "__init_subclass__", "__subclasshook__", "__class_getitem__"),
        *("__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__dir__", "__set_name__", "__sizeof__"),
        *("__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__format__"),
        *("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__"),
        *("__abstractmethods__", "__firstlineno__", "__static_attributes__", "__parameters__", "__orig_bases__"),
        *("__match_args__", "__mro_entries__"),
    )
)


def _forwards(traced: type[Traced]) -> dict[str, Any]:
    """The methods that ``super()`` calls in those of ``traced``: they call the object's own."""
    names = {name for kind in traced.__mro__ if issubclass(kind, Traced) for name in vars(kind)}
    return {
        name: _forward(name, getattr(traced, name))
        for name in names - _NOT_FORWARDED
        if not name.startswith("_mqtrace") and inspect.isroutine(getattr(traced, name))
    }


def _forward(name: str, method: Any) -> Callable[..., Any]:
    @functools.wraps(method, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def forward(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._mqtrace.raw, name)(*args, **kwargs)

    return forward


def _special(traced: type[Traced], kind: type) -> dict[str, Any]:
    """Forwards for the special methods of an object's type: Python looks them up on the type, past ``__getattr__``.

    One that is None, such as ``__iter__ = None``, stays None: Python takes the method for absent.
    """
    present = {name for base in traced.__mro__ for name in vars(base)} | _NOT_FORWARDED
    names = {name for name in dir(kind) if name.startswith("__") and name.endswith("__")} - present
    names |= {name for name in _COMPARED if getattr(kind, name) is not getattr(object, name)}
    return {name: None if getattr(kind, name) is None else _forward_special(name) for name in names}


#: Comparisons, which every object has and most refuse.
_COMPARED: Final = frozenset(("__lt__", "__le__", "__gt__", "__ge__"))


def _forward_special(name: str) -> Callable[..., Any]:
    def forward(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        raw = self._mqtrace.raw
        result = getattr(raw, name)(*[_raw(argument) for argument in args], **kwargs)
        return self if result is raw else result  # __iter__, __enter__, __iadd__

    forward.__name__ = name
    return forward


# ---------------------------------------------------------------------- unwrap


class Untraced(Proxy):
    """A view of an object of a traced class, without its tracing: every method is the client's own."""

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


class _Viewed:
    """The state of a view. ``raw``: the object that it shows."""

    __slots__ = ("raw",)

    def __init__(self, raw: Any) -> None:
        self.raw = raw


def unwrap(client: Any) -> Any:
    """The object or class that was wrapped; one that is not wrapped is returned as it is.

    An object of a traced class is itself the client: it is returned as a view whose methods are the client's own.
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
    _set(view, "_mqtrace", _Viewed(client))
    return view
