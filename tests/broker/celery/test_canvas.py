"""Canvas on a real worker with its results in a real Redis: one trace, and each task below what caused it.

Every task has a letter for a name. What caused a task is read from the spans: the letters on the way up to the root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_APP = """
import os
import mqtrace
from celery import Celery, chain, chord, group, signature

tracer = mqtrace.configure(os.environ["SERVICE"], exporter="file://" + os.environ["SPANS"])
mqtrace.instrument_celery(flush_timeout=5.0)
app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(task_default_queue=os.environ["QUEUE"], worker_prefetch_multiplier=1)

@app.task(name="shop.step", bind=True)
def step(self, *given):
    mqtrace.current_span().set_attribute("step", given[-1])
    return given[-1]

@app.task(name="shop.fail")
def fail(*given):
    mqtrace.current_span().set_attribute("step", given[-1])
    raise ValueError(given[-1])

@app.task(name="shop.replace", bind=True)
def replace(self, letter, *others):
    mqtrace.current_span().set_attribute("step", letter)
    one = [step.si(other) for other in others]
    raise self.replace(one[0] if len(one) == 1 else chain(*one))

@app.task(name="shop.grow", bind=True)
def grow(self, letter, *others):
    mqtrace.current_span().set_attribute("step", letter)
    raise self.replace(group(step.si(other) for other in others))

@app.task(name="shop.calls")
def calls(letter, *others):
    mqtrace.current_span().set_attribute("step", letter)
    for other in others:
        step.delay(other)

@app.task(name="shop.pair")
def pair(left, right):
    return left + right

s, f = step.si, fail.si
"""

_CANVAS: dict[str, tuple[str, dict[str, Any]]] = {
    "chain": ("chain(s('a'), s('b'), s('c'))", {"a": "", "b": "a", "c": "ab"}),
    "group": ("group(s('a'), s('b'))", {"a": "", "b": ""}),
    "chord": ("chord([s('a'), s('b')], s('c'))", {"a": "", "b": "", "c": ("a", "b")}),
    "a group within a chain": (
        "chain(s('a'), group(s('b'), s('c')), s('d'), s('e'))",
        {"a": "", "b": "a", "c": "a", "d": ("ab", "ac"), "e": ("abd", "acd")},
    ),
    "chains within a group": (
        "group(chain(s('a'), s('b')), chain(s('c'), s('d')))",
        {"a": "", "b": "a", "c": "", "d": "c"},
    ),
    "chains within a chord": (
        "chord([chain(s('a'), s('b')), s('c')], chain(s('d'), s('e')))",
        {"a": "", "b": "a", "c": "", "d": ("ab", "c"), "e": ("abd", "cd")},
    ),
    "a chord within a chord": (
        "chord([chord([s('a'), s('b')], s('c')), s('d')], s('e'))",
        {"a": "", "b": "", "c": ("a", "b"), "d": "", "e": ("ac", "bc", "d")},
    ),
    "a link": ("s('a').set(link=s('b').set(link=s('c')))", {"a": "", "b": "a", "c": "ab"}),
    "a chain with an errback that is not needed": ("chain(s('a'), s('b')).on_error(s('x'))", {"a": "", "b": "a"}),
    "an errback": ("f('a').set(link_error=s('b'))", {"a": "", "b": "a"}),
    "an errback of a chain": ("chain(s('a'), f('b'), s('c')).on_error(s('d'))", {"a": "", "b": "a", "d": "ab"}),
    "self.replace": ("replace.si('a', 'b')", {"a": "", "b": "a"}),
    "self.replace within a chain": (
        "chain(replace.si('a', 'b', 'c'), s('d'))",
        {"a": "", "b": "a", "c": "ab", "d": "abc"},
    ),
    "self.replace by a group": (
        "chain(grow.si('a', 'b', 'c'), s('d'))",
        {"a": "", "b": "a", "c": "a", "d": ("ab", "ac")},
    ),
    "tasks that call others": ("chain(calls.si('a', 'b', 'c'), s('d'))", {"a": "", "b": "a", "c": "a", "d": "a"}),
}  # fmt: skip


@pytest.fixture
def shop(make_shop: Callable[..., Any], redis_url: str) -> Any:
    return make_shop(redis_url, app=_APP)


def test_canvas_is_one_trace_each_task_below_what_caused_it(shop: Any) -> None:
    worker = shop.worker("-c", "2")
    code = ["from shop import *"]
    for name, (canvas, _) in _CANVAS.items():
        code.append(f"with tracer.start_span({name!r}): ({canvas}).apply_async()")
    shop.publish("\n".join(code))
    expected = sum(len(causes) for _, causes in _CANVAS.values())
    shop.until(lambda: shop.succeeded() + shop.log().count(" raised unexpected") >= expected - 3, "the tasks ran")
    _settle(shop)
    assert shop.stop(worker) == 0
    spans = shop.spans()
    above = {span["spanId"]: span for span in spans}
    found: dict[str, dict[str, str]] = {name: {} for name in _CANVAS}
    roots = {span["traceId"]: span["name"] for span in spans if not span.get("parentSpanId")}
    assert sorted(roots.values()) == sorted(_CANVAS), "each canvas is one trace, and nothing is outside of them"
    for span in spans:
        if "step" in span["attributes"]:
            found[roots[span["traceId"]]][span["attributes"]["step"]] = _causes(above, span)
    for name, (_, causes) in _CANVAS.items():
        assert found[name].keys() == causes.keys(), name
        for step, cause in causes.items():
            possible = (cause,) if isinstance(cause, str) else cause
            assert found[name][step] in possible, f"{name}: {step}"


def _settle(shop: Any) -> None:
    """Wait until nothing is logged any more."""
    seen: list[int] = []

    def still() -> bool:
        seen.append(len(shop.log()))
        return len(seen) > 30 and seen[-1] == seen[-30]

    shop.until(still, "the worker is idle")


def _causes(above: dict[str, Any], span: Any) -> str:
    """The letters of the tasks above this one, from the root down."""
    letters = ""
    while (span := above.get(span.get("parentSpanId", ""))) is not None:
        letters = str(span["attributes"].get("step", "")) + letters
    return letters


@pytest.mark.parametrize(
    ("canvas", "messages"),
    [("pair.chunks([(1, 2), (3, 4), (5, 6)], 2)", 2), ("pair.starmap([(1, 2), (3, 4)])", 1), ("step.map('ab')", 1)],
)
def test_chunks_map_and_starmap_are_tasks_of_celerys_own(shop: Any, canvas: str, messages: int) -> None:
    worker = shop.worker("-c", "2")
    shop.publish(f"from shop import *\nwith tracer.start_span('web'): ({canvas}).apply_async()")
    shop.until(lambda: shop.succeeded() == messages, "the tasks ran")
    assert shop.stop(worker) == 0
    spans = shop.spans()
    (web,) = shop.named("web")
    runs = [span for span in spans if span["name"].startswith("process celery.")]
    sends = {span["spanId"]: span for span in spans if span["name"].startswith("send celery.")}
    assert len(runs) == len(sends) == messages
    assert len(spans) == 1 + 2 * messages
    assert {send["parentSpanId"] for send in sends.values()} == {web["spanId"]}
    assert {run["parentSpanId"] for run in runs} == sends.keys()
