"""What a task costs the thread that publishes it, and the thread of a worker that runs it.

The worker is Celery's own WorkController with a solo pool, built and set up but not started: its message handler
(``Consumer.create_task_handler``) gets messages that were really published, taken from the queue beforehand. So the
strategy, the Request, the acknowledgement, the trace and every signal are those of a worker; what is left out is the
wait for a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import signals  # type: ignore[import-untyped]  # Celery ships no types
from celery.worker import state  # type: ignore[import-untyped]  # as above

from bench.alternate import Slice, alternate, thread_cpu
from bench.tracing import configure

from . import tasks
from .switch import do_nothing, switch

__all__ = ["figures"]

_SLICE = 100
#: Tasks after tracing was switched on or off, before a slice: what is made once is no cost of a message.
_WARM = 20


def figures(variant: str, broker: str, count: int) -> dict[str, float]:
    """CPU of a task: publish, run, and both. ``broker``: a URL. ``count``: four times as many as are traced."""
    flush = configure(variant)
    app = tasks.app(broker)
    work = app.tasks[tasks.WORK]
    queue = app.amqp.queues[app.conf.task_default_queue].bind(app.connection_for_read().channel())
    queue.declare()
    # without an event loop, which would put the acknowledgement off to where nothing is measured
    worker = app.Worker(pool="solo", hostname="bench@localhost", quiet=True, use_eventloop=False)
    prefix = f"celery {broker.partition(':')[0]}"

    def both(many: int, handle: Any) -> dict[str, float]:
        before = state.total_count.get(work.name, 0)
        publish = thread_cpu((work.delay(number) for number in range(many)), many)
        messages = [queue.get() for _ in range(many)]
        run = thread_cpu(map(handle, messages), many)
        ran = state.total_count.get(work.name, 0)
        assert ran - before == many, f"{ran - before} of {many} tasks ran"
        assert all(message.acknowledged for message in messages), "a task was not acknowledged"
        return {f"{prefix} publish": publish, f"{prefix} run": run, f"{prefix} both": publish + run}

    def bare() -> dict[str, float]:
        handle = _message_handler(app, worker)
        both(_WARM, handle)
        return both(_SLICE, handle)

    def switched(begin: Callable[[], object], end: Callable[[], object]) -> Slice:
        def measure() -> dict[str, float]:
            begin()
            try:
                return bare()
            finally:
                end()

        return measure

    pairs = max(2, count // 4 // _SLICE)
    try:
        found = alternate(bare, switched(*switch(variant)), flush, pairs)
        found[f"{prefix} spans"] = flush() / (pairs + 1) / (_SLICE + _WARM)
        if variant == "mqtrace":
            floor = alternate(bare, switched(*do_nothing()), flush, pairs)
            found |= {figure.replace("both", "floor"): value for figure, value in floor.items() if "both" in figure}
    finally:
        queue.delete()
    return found


def _message_handler(app: Any, worker: Any) -> Any:
    """What the worker would call with each message, had it been started now."""
    signals.celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=app.conf)
    worker.consumer.update_strategies()
    return worker.consumer.create_task_handler()
