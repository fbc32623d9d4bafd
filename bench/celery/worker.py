"""A real worker on Redis, solo pool, the export of the spans to Kafka beside: everything that a task costs.

CPU is that of the whole process, which publishes the tasks, runs the worker, and ends when the spans have left. The
start of the worker is not counted.
"""

from __future__ import annotations

import time

from bench.brokers import address
from bench.tracing import configure

from . import tasks
from .switch import switch

__all__ = ["figures"]


def figures(variant: str, broker: str, count: int) -> dict[str, float]:
    """CPU of a task. ``broker``: a URL. ``count``: four times as many as there are tasks."""
    many = max(100, count // 4)
    with address("kafka") as bootstrap:
        flush = configure(variant, bootstrap)
        app = tasks.app(broker)
        begin, _ = switch(variant)
        begin()
        publish = app.tasks[tasks.WORK].delay
        publish(tasks.FIRST)
        began = time.process_time()
        for number in range(many):
            publish(number)
        published = time.process_time() - began
        publish(tasks.LAST)
        app.Worker(pool="solo", hostname="bench@localhost", quiet=True).start()
        spans = flush()
        ran = time.process_time() - tasks.began[0]
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue].bind(connection.default_channel)
        queue.declare()  # only what a connection has declared does it take away as a whole
        queue.delete()
    return {"celery worker": (published + ran) / many * 1e6, "celery worker spans": spans / (many + 2)}
