"""The shop's mail room on RabbitMQ, traced: a wrapped pika channel, and what becomes of mail that cannot be delivered.

A rejected message goes to the dead-letter exchange, here the default one, and so to a second queue. It keeps its trace:
its second process span is below the same send span as the first, and says how often it died, why, and in which queue.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

import pika  # type: ignore[import-untyped]  # pika ships no types
from pika.exceptions import AMQPError  # type: ignore[import-untyped]  # as above

import mqtrace
from mqtrace.cli.trouble import CommandError

from .stage import Stage, work

__all__ = ["Sender", "ask"]

# A queue that nobody uses any more is deleted by the broker, should this process be killed: milliseconds.
_EXPIRES = 60_000


def ask(url: str) -> None:
    """Whether a RabbitMQ answers at this URL; CommandError if it does not. The password is not shown."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it would say at length is said in one sentence
    where = urlsplit(url)
    try:
        parameters = pika.URLParameters(url) if where.scheme in ("amqp", "amqps") and where.hostname else None
    except (ValueError, TypeError):
        parameters = None
    if parameters is None:
        raise CommandError("--amqp takes a URL: write amqp://guest:guest@localhost:5672/")
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError) as error:
        why = str(error) or type(error).__name__
        raise CommandError(f"no RabbitMQ serves this user at {where.hostname}:{parameters.port}: {why}") from error


def _queues(stage: Stage) -> tuple[str, str]:
    """Two queues with names that nobody else has: mail to send, and mail that came back."""
    return f"{stage.options['queues']}.mail", f"{stage.options['queues']}.undeliverable"


class Sender:
    """Passes receipts on to the mail room."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._connection = pika.BlockingConnection(pika.URLParameters(stage.options["amqp"]))
        self._channel = mqtrace.wrap(self._connection.channel())
        self._queue, _ = _queues(stage)

    def __call__(self, order: int) -> None:
        self._channel.basic_publish("", self._queue, str(order), pika.BasicProperties(message_id=f"receipt-{order}"))
        self._stage.sent("mail")


def mail(stage: Stage) -> None:
    """Mails receipts; some addresses do not exist."""
    mqtrace.configure("mail", sampler=1.0, exporter=stage.exporter)
    connection: Any = pika.BlockingConnection(pika.URLParameters(stage.options["amqp"]))
    channel = mqtrace.wrap(connection.channel())
    queue, undeliverable = _queues(stage)
    to_undeliverable = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": undeliverable}
    channel.queue_declare(queue, arguments={"x-expires": _EXPIRES, **to_undeliverable})
    channel.queue_declare(undeliverable, arguments={"x-expires": _EXPIRES})

    def deliver(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if int(body) % 10 == 6:
            channel.basic_reject(method.delivery_tag, requeue=False)
        else:
            channel.basic_ack(method.delivery_tag)
            stage.received()

    def give_up(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        stage.received()

    channel.basic_consume(queue, deliver)
    channel.basic_consume(undeliverable, give_up)
    stage.ready()
    try:
        while stage.running:
            connection.process_data_events(time_limit=0.05)
    finally:
        for name in (queue, undeliverable):
            channel.queue_delete(name)
        connection.close()


if __name__ == "__main__":
    work({"mail": mail})
