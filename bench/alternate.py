"""Bare and traced in turn within one process, so that what is added shows beside work that is large and noisy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from statistics import quantiles

from .steady import wait

__all__ = ["Slice", "alternate", "thread_cpu"]

#: Handles some messages, and says what one took: microseconds of CPU, by figure.
Slice = Callable[[], dict[str, float]]


def alternate(bare: Slice, traced: Slice, flush: Callable[[], object], pairs: int) -> dict[str, float]:
    """What a bare slice takes, by figure, and as ``... added`` what a traced one takes more.

    Either is the lower decile of its slices: what else a machine does makes a slice slower, never faster, and on one
    with two cores and a broker it does so to half of them, by half. Which of a pair goes first changes from pair to
    pair. The first pair warms up, and is not counted. ``flush`` has the spans of a slice leave, so that a bare one
    never runs beside their export.
    """

    def tracing() -> dict[str, float]:
        figures = traced()
        flush()
        return figures

    found: list[tuple[dict[str, float], dict[str, float]]] = []
    for turn in range(pairs + 1):
        wait(patience=0.5)
        if turn % 2:
            other = tracing()
            found.append((bare(), other))
        else:
            found.append((bare(), tracing()))
    del found[0]
    figures: dict[str, float] = {}
    for figure in found[0][0]:
        figures[figure] = undisturbed([one[figure] for one, _ in found])
        figures[f"{figure} added"] = undisturbed([other[figure] for _, other in found]) - figures[figure]
    return figures


def undisturbed(slices: list[float]) -> float:
    """The lower decile."""
    return quantiles(slices, n=10, method="inclusive")[0]


def thread_cpu(calls: Iterable[object], count: int) -> float:
    """CPU of the calling thread, microseconds for each of ``count`` messages, while ``calls`` are gone through."""
    began = time.thread_time()
    for _ in calls:
        pass
    return (time.thread_time() - began) / count * 1e6
