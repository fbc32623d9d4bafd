"""How soon it is drawn. `python -m bench.page` measures it over a database, and by the clock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

_PAINTED = """(selector) => new Promise((done) => {
  const look = () => document.querySelector(selector)
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : setTimeout(look, 1);
  look();
})"""


def _drawing_s() -> float:
    """CPU of the browser's processes that run pages."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "--type=renderer" in " ".join(process.cmdline()):
                spent += sum(process.cpu_times()[:2])
    return spent


@pytest.mark.parametrize(
    ("what", "selector", "most_s"), [("map", ".map .node", 3.0), ("trace", ".row:nth-child(20)", 6.0)]
)
def test_a_map_of_fifty_services_and_a_trace_of_a_thousand_spans(
    look: Callable[..., Any], what: str, selector: str, most_s: float
) -> None:
    """Three times what it has to reach: other tests run beside it. CPU, the least of three; nothing is cached."""
    source = Fake(services=50, trace_spans=1_000)
    path = "/" if what == "map" else f"/trace/{source.traces(Scope())[0]['trace_id']}"
    times = []
    for _ in range(3):
        looking = look(source)
        before = _drawing_s()
        looking.page.goto(looking.address + path, wait_until="commit")
        looking.page.evaluate(_PAINTED, selector)
        times.append(_drawing_s() - before)
    assert 0 < min(times) <= most_s
