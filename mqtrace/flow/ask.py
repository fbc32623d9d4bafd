"""Questions by their names, with parameters as in a URL: ``GET /api/{question}?{parameters}`` of a running page."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from .scope import Scope
from .source import Source
from .trouble import AskError

__all__ = ["QUESTIONS", "age", "answer", "moment_ns", "seconds"]

Parameters = Mapping[str, Sequence[str]]

_NS: Final = 1_000_000_000
_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?")
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_MOST: Final = 1_000


def answer(source: Source, question: str, parameters: Parameters) -> Any:
    """The answer of the source's method, ready for ``json.dumps``. Raises AskError, and what the source raises.

    ``question``: one of :data:`QUESTIONS`. ``parameters``: each a list of texts, as ``urllib.parse.parse_qs`` returns
    them; unknown ones are ignored. All questions take ``last`` ("15m", "1h", seconds) or ``from`` and ``to`` (RFC 3339,
    or ns since the epoch), ``service`` and ``destination`` (again: any of them). Beside these: `missing` ``after`` (as
    ``last``), `traces` ``order`` ("newest", "slowest"), ``errors`` ("true"), ``attribute`` ("key=value"), ``limit``;
    `trace` ``id``; `series` ``steps``. Without a window the source's own (``window_s`` of its state) is asked about.
    """
    method = QUESTIONS.get(question)
    if method is None:
        raise AskError(f"there is no question {question!r}: ask one of {', '.join(QUESTIONS)}")
    return method(source, parameters)


def scope_of(source: Source, parameters: Parameters) -> Scope:
    """The window and the filters of a question."""
    last, begin, end = (_one(parameters, name) for name in ("last", "from", "to"))
    names = tuple(parameters.get("service", ())), tuple(parameters.get("destination", ()))
    to_ns = None if end is None else moment_ns(end)
    if last is not None:
        if begin is not None:
            raise AskError("last and from exclude each other: say one of them")
        now = time.time_ns() if to_ns is None else to_ns
        return Scope(now - round(seconds(last) * _NS), to_ns, *names)
    if begin is not None or end is not None:
        # A question about all spans reaches a page as a time before everything.
        return Scope(None if begin is None else moment_ns(begin) or None, to_ns, *names)
    window = source.state()["window_s"]
    return Scope(None, None, *names) if window is None else Scope.last(window, *names)


def seconds(text: str) -> float:
    """``90``, ``90s``, ``15m``, ``1h``, ``2d``, ``500ms``, in seconds; more than none."""
    number = age(text)
    if number == 0:
        raise AskError(f"{text!r} is not a duration: write 90s, 15m, 1h or 2d")
    return number


def age(text: str) -> float:
    """As :func:`seconds`, also ``0s``."""
    match = _DURATION.fullmatch(text.strip())
    number = float(match[1]) * _UNITS[match[2] or "s"] if match else math.nan
    if not 0 <= number < 1e10:
        raise AskError(f"{text!r} is not a duration: write 90s, 15m, 1h or 2d")
    return number


def moment_ns(text: str) -> int:
    """RFC 3339 or ISO 8601 (without a zone: UTC), or ns since the epoch, in ns since the epoch."""
    if re.fullmatch(r"[0-9]{16,20}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = datetime.fromisoformat(f"{text}T00:00:00Z" if len(text) == 10 else f"{text}Z")
        whole = moment.replace(microsecond=0).timestamp()
    except (ValueError, OverflowError) as error:
        raise AskError(f"{text!r} is not a time: write it as 2026-11-29T16:55:00Z") from error
    return int(whole) * _NS + moment.microsecond * 1_000


def _one(parameters: Parameters, name: str) -> str | None:
    values = parameters.get(name, ())
    return values[-1] if values and values[-1] != "" else None


def _whole(parameters: Parameters, name: str, default: int) -> int:
    text = _one(parameters, name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= _MOST:
        raise AskError(f"{name} is {text!r}: write a whole number from 1 to {_MOST}")
    return int(text)


def _state(source: Source, _: Parameters) -> Any:
    return source.state()


def _map(source: Source, parameters: Parameters) -> Any:
    return source.map(scope_of(source, parameters))


def _flow(source: Source, parameters: Parameters) -> Any:
    return source.flow(scope_of(source, parameters))


def _missing(source: Source, parameters: Parameters) -> Any:
    after = _one(parameters, "after")
    return source.missing(scope_of(source, parameters), None if after is None else age(after))


def _traces(source: Source, parameters: Parameters) -> Any:
    order = _one(parameters, "order") or "newest"
    if order not in ("newest", "slowest"):
        raise AskError(f"order is {order!r}: write newest or slowest")
    attribute = None
    pair = _one(parameters, "attribute")
    if pair is not None:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise AskError(f"attribute is {pair!r}: write key=value")
        attribute = key, value
    return source.traces(
        scope_of(source, parameters),
        order="slowest" if order == "slowest" else "newest",
        errors=_one(parameters, "errors") in ("true", "1"),
        attribute=attribute,
        limit=_whole(parameters, "limit", 20),
    )


def _trace(source: Source, parameters: Parameters) -> Any:
    return source.trace(trace_id(_one(parameters, "id") or ""))


def trace_id(text: str) -> str:
    """A trace id in the form that the sources know."""
    lowered = text.strip().lower()
    if not _TRACE_ID.fullmatch(lowered):
        raise AskError(f"{text!r} is not a trace id: it has 32 hexadecimal digits, not all of them zero")
    return lowered


def _failures(source: Source, parameters: Parameters) -> Any:
    return source.failures(scope_of(source, parameters))


def _errors(source: Source, parameters: Parameters) -> Any:
    return source.errors(scope_of(source, parameters))


def _series(source: Source, parameters: Parameters) -> Any:
    return source.series(scope_of(source, parameters), _whole(parameters, "steps", 60))


#: Every question, by its name.
QUESTIONS: Final[Mapping[str, Callable[[Source, Parameters], Any]]] = {
    "state": _state,
    "map": _map,
    "flow": _flow,
    "missing": _missing,
    "traces": _traces,
    "trace": _trace,
    "failures": _failures,
    "errors": _errors,
    "series": _series,
}
