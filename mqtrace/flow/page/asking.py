"""Questions of many browsers to one source.

A question blocks, so it is asked in a thread. Browsers that ask the same at once, or within a second, share one answer:
a screen in each room costs no more than one.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from mqtrace.flow import AskError, Source, SourceError, answer
from mqtrace.flow.ask import QUESTIONS

from .light import lightened

__all__ = ["Answer", "Asking"]

_FRESH_S: Final = 1.0
_MOST_RECENT: Final = 256
_MOST_RECENT_BYTES: Final = 8_000_000
#: A source ends its questions after 10 s by itself: this is for one that hangs.
_LONGEST_S: Final = 12.0
_AT_ONCE: Final = 8

Answer = tuple[int, bytes]


class Asking:
    """Asks a source, and returns its answers as (status of HTTP, JSON)."""

    def __init__(
        self, source: Source, *, longest_s: float = _LONGEST_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._longest_s = longest_s
        self._clock = clock
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mqtrace-ui")
        self._recent: dict[object, tuple[float, asyncio.Future[Answer]]] = {}

    async def ask(self, question: str, parameters: Mapping[str, Sequence[str]]) -> Answer:
        """The source's answer; if it has none, a status and a sentence that says why."""
        if question not in QUESTIONS:
            return _sentence(404, f"There is no question {question!r}: ask one of {', '.join(QUESTIONS)}.")
        key = question, tuple(sorted((name, tuple(values)) for name, values in parameters.items()))
        now = self._clock()
        recent = self._recent.get(key)
        if recent is None or (recent[1].done() and now - recent[0] > _FRESH_S):
            self._forget(now)
            loop = asyncio.get_running_loop()
            recent = now, loop.run_in_executor(self._threads, self._answer, question, parameters)
            self._recent[key] = recent
        try:
            # Shielded: a browser that goes away leaves the question to the others.
            return await asyncio.wait_for(asyncio.shield(recent[1]), self._longest_s)
        except TimeoutError:
            return _sentence(503, f"The source did not answer within {self._longest_s:g} s.")

    def close(self) -> None:
        """Ask nothing more; what is being asked may end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, now: float) -> None:
        """Forget answers that are too old to be shared."""
        for key, (asked_at, future) in list(self._recent.items()):
            large = future.done() and not future.cancelled() and len(future.result()[1]) > _MOST_RECENT_BYTES
            if future.done() and (now - asked_at > _FRESH_S or large or len(self._recent) >= _MOST_RECENT):
                del self._recent[key]

    def _answer(self, question: str, parameters: Mapping[str, Sequence[str]]) -> Answer:
        try:
            result = answer(self._source, question, parameters)
            return 200, _json(lightened(result) if question == "trace" and result is not None else result)
        except AskError as error:
            return _sentence(400, str(error))
        except SourceError as error:
            return _sentence(503, str(error))
        except Exception as error:  # noqa: BLE001  # whatever breaks one question must not end the others
            return _sentence(503, f"The question {question!r} failed: {type(error).__name__}: {error}")


def _sentence(status: int, text: str) -> Answer:
    return status, _json({"error": text})


def _json(value: Any) -> bytes:
    """JSON, in which an infinite number of an attribute is a text: JSON has no form for it."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    return text.encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
