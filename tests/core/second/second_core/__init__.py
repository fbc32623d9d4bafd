"""A second core: the one in Python once more, under another name, so that every class and every state is another.

Whoever asks for a class of ``mqtrace.core.something``, or for the variable that says what is current there, meets one
that nobody uses. ``make core`` runs the whole suite on it: MQTRACE_CORE=second_core, this folder on PYTHONPATH.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_mqtrace = find_spec("mqtrace")
assert _mqtrace is not None
assert _mqtrace.origin is not None
__path__ = [str(Path(_mqtrace.origin).parent / "core")]

_python = import_module("second_core.python")
__all__ = list(_python.__all__)
globals().update({name: getattr(_python, name) for name in __all__})
