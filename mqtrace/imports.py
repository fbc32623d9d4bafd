"""Callbacks for when the process imports a module, without importing it.

A finder at the front of ``sys.meta_path`` watches for the wanted names. It finds no module itself: it has the other
finders find it, and calls back when the module's code has run.

`mqtrace run` loads this file at the start of every Python, so it imports next to nothing itself.
"""

from __future__ import annotations

import importlib.util
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import importlib.machinery
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    Callback = Callable[[ModuleType], object]

__all__ = ["when_imported"]


def when_imported(name: str, callback: Callback, *, whole: bool = False) -> None:
    """Call ``callback(module)`` once the module ``name`` has been imported: now, if it has been.

    ``whole``: not while code of its package still runs. A program may import ``kombu.simple`` first, which imports
    ``kombu.messaging``: when the second has been imported, the first has no names yet.

    An exception of the callback is logged, and does not reach the code that imports.
    """
    if whole:
        callback = _Whole(name, callback)
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is not None and (name in _arrived or not getattr(spec, "_initializing", False)):
        _run(callback, module)
        return
    _waiting.setdefault(name, []).append(callback)
    if _watch(spec):  # its code runs now, and has imported the caller
        return
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


_waiting: dict[str, list[Callback]] = {}
# Modules whose code has run, and which the import system may still call initializing.
_arrived: set[str] = set()


def _run(callback: Callback, module: ModuleType) -> None:
    try:
        callback(module)
    except Exception:  # the code that imports the module knows nothing of the callback
        import logging

        logging.getLogger("mqtrace").warning("mqtrace could not follow the import of %s", module, exc_info=True)


def _arrive(name: str) -> None:
    module = sys.modules.get(name)  # a module may put another object in its place
    if module is None:  # its code failed, and may be tried again
        if name in _waiting and _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
        return
    _arrived.add(name)
    for callback in _waiting.pop(name, ()):
        _run(callback, module)
    if not _waiting and _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


class _Whole:
    """Calls back once no code of a module's package runs any more."""

    def __init__(self, name: str, callback: Callback) -> None:
        self._name = name
        self._callback = callback

    def __call__(self, module: ModuleType) -> None:
        top = self._name.partition(".")[0]
        for name, other in list(sys.modules.items()):
            if name.partition(".")[0] == top and name not in _arrived:
                spec = getattr(other, "__spec__", None)
                if getattr(spec, "_initializing", False) and _watch(spec):
                    _ending.setdefault(name, []).append(self._again)
                    return
        self._callback(module)

    def _again(self) -> None:
        when_imported(self._name, self)


# Callbacks for the end of a module's code, whether it failed or not.
_ending: dict[str, list[Callable[[], None]]] = {}
_Spec: Any = type(sys.__spec__)


class _WatchedSpec(_Spec):  # type: ignore[misc]  # the class of every module's spec, which importlib.machinery names
    """The spec of a module whose code is running: the import system sets an attribute of it when that has ended."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "_initializing" and not value:
            self.__class__ = _Spec
            _arrive(self.name)
            for again in _ending.pop(self.name, ()):
                again()


def _watch(spec: object) -> bool:
    if type(spec) is _Spec:
        spec.__class__ = _WatchedSpec
    return type(spec) is _WatchedSpec


class _Finder:
    def __init__(self) -> None:
        self._looking: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _waiting or fullname in self._looking:
            return None
        self._looking.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking.discard(fullname)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            loader: Any = _Loader(spec.loader)
            spec.loader = loader
        return spec


class _Loader:
    """The module's own loader, which calls back after the module's code has run."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        # get_data, get_source, is_package and what else the module's loader can do
        return getattr(self.__dict__["_loader"], name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # the module and everything else must see the module's own loader
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _arrive(module.__name__)


_FINDER: Any = _Finder()
