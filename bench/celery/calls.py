"""What a task costs the thread that publishes it, and the thread of a worker that runs it.

The worker is Celery's own WorkController with a solo pool, built and set up but not started: its message handler
(``Consumer.create_task_handler``) gets messages that were really published, taken from the queue beforehand. So the
strategy, the Request, the acknowledgement, the trace and every signal are those of a worker; what is left out is the
wait for a message.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, signals  # type: ignore[import-untyped]  # Celery ships no types
from celery.worker import state  # type: ignore[import-untyped]  # as above

from bench.alternate import alternate, thread_cpu

from .tracing import switch

__all__ = ["figures"]

_SLICE = 100
#: Tasks after tracing was switched on or off, before a slice: what is made once is no cost of a message.
_WARM = 20


def figures(variant: str, broker: str, count: int) -> dict[str, float]:
    """CPU of a task: publish, run, and both. ``broker``: a URL. ``count``: four times as many
    as the tasks that run bare, and that run traced."""
    app, work = _app(broker)
    queue = app.amqp.queues["celery"].bind(app.connection_for_read().channel())
    queue.declare()
    queue.purge()
    handle = _worker(app)
    begin, end = switch(variant)

    prefix = f"celery {broker.partition(':')[0]}"

    def both(many: int) -> dict[str, float]:
        before = state.total_count.get(work.name, 0)
        publish = thread_cpu((work.delay(number) for number in range(many)), many)
        messages = [queue.get() for _ in range(many)]
        run = thread_cpu(map(handle, messages), many)
        ran = state.total_count.get(work.name, 0)
        assert ran - before == many, f"{ran - before} of {many} tasks ran"
        return {f"{prefix} publish": publish, f"{prefix} run": run, f"{prefix} both": publish + run}

    def bare() -> dict[str, float]:
        both(_WARM)
        return both(_SLICE)

    def traced() -> dict[str, float]:
        begin()
        try:
            return bare()
        finally:
            end()

    return alternate(bare, traced, max(2, count // 4 // _SLICE))


def _app(broker: str) -> tuple[Any, Any]:
    app = Celery("bench", broker=broker, set_as_current=True)
    app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

    @app.task(name="bench.work")  # type: ignore[untyped-decorator]  # Celery ships no types
    def work(number: int) -> int:
        return number

    return app, work


def _worker(app: Any) -> Any:
    worker = app.Worker(pool="solo", concurrency=1, hostname="bench@localhost")
    signals.celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=app.conf)
    worker.consumer.update_strategies()
    return worker.consumer.create_task_handler()
