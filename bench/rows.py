"""The rows of the table, by client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

__all__ = ["SECTIONS", "Row"]


class Row(NamedTuple):
    """A line of the table.

    ``ours``: the variant it shows. ``most``: the goal. ``added``: over the bare client of the same run.
    ``summary``: what a user wants to know first, so it stands in the README, too.
    """

    title: str
    figure: str
    ours: str
    most: str = ""
    unit: str = "us"
    added: bool = True
    summary: bool = False


_KAFKA: Final = (
    Row("produce + its delivery report, sampled", "produce", "mqtrace", "3", summary=True),
    Row("produce, unsampled", "produce", "mqtrace unsampled", "1.3", summary=True),
    Row("produce, not configured", "produce", "mqtrace off"),
    Row("produce_batch(100), a message, sampled", "produce batch", "mqtrace"),
    Row("produce_batch(100), a message, unsampled", "produce batch", "mqtrace unsampled"),
    Row("poll + decorated handler, sampled", "poll", "mqtrace", "3.5", summary=True),
    Row("poll + decorated handler, unsampled", "poll", "mqtrace unsampled", "2", summary=True),
    Row("poll + decorated handler, not configured", "poll", "mqtrace off"),
    Row("consume(100) + `batch`, a message", "batch", "mqtrace", "1", summary=True),
    Row("start and end a span", "span", "mqtrace", added=False),
    Row("start and end a span, unsampled", "span", "mqtrace unsampled", added=False),
    Row("inject into a dict", "inject", "mqtrace", added=False),
    Row("extract from a dict", "extract", "mqtrace", added=False),
    Row("dequeue and encode a span", "encode", "mqtrace", "1.5", added=False),
    Row("whole process, export beside, wall: produce", "whole produce", "mqtrace", "1/15"),
    Row("whole process, export beside, wall: consume", "whole consume", "mqtrace", "1/15"),
    Row("everything, CPU, from produce to both spans on the topic", "everything", "mqtrace", "14", summary=True),
    Row("bytes a span, raw", "bytes raw", "mqtrace", unit="B", added=False),
    Row("bytes a span, as sent (zstd)", "bytes sent", "mqtrace", "60", "B", added=False),
    Row("a span, allocated", "span allocated", "mqtrace", added=False),
    Row("a span, from a pool", "span pooled", "mqtrace", added=False),
)
_AIOKAFKA: Final = (
    Row("send, until its future is done, sampled", "aiokafka no socket send", "mqtrace", "6, 1/5"),
    Row("send, unsampled", "aiokafka no socket send", "mqtrace unsampled", "3"),
    Row("a header of the application's own", "aiokafka no socket header", "mqtrace"),
    Row("with the socket: send, until its future is done, sampled", "aiokafka send", "mqtrace", "1/5"),
    Row("with the socket: send, unsampled", "aiokafka send", "mqtrace unsampled"),
    Row("getone + decorated handler, sampled", "aiokafka handle", "mqtrace", "6, 1/5"),
    Row("getone + decorated handler, unsampled", "aiokafka handle", "mqtrace unsampled", "3"),
)
_CONFLUENT_AIO: Final = (
    Row("produce, until its future is done: the loop's thread, sampled", "confluent-aio send", "mqtrace", "6"),
    Row("produce, the loop's thread, unsampled", "confluent-aio send", "mqtrace unsampled", "3"),
    Row("produce, all threads, sampled", "confluent-aio send, all threads", "mqtrace"),
    Row("consume(200) + decorated handler, a message, sampled", "confluent-aio handle", "mqtrace", "6"),
    Row("consume(200) + decorated handler, a message, unsampled", "confluent-aio handle", "mqtrace unsampled", "3"),
)
_HTTP: Final = (
    Row("OTLP/HTTP, gzip, batches of 100: CPU of the worker", "http export", "mqtrace", "3.5", added=False),
    Row("a span of mqtrace to a ReadableSpan", "readable span", "mqtrace", "8", added=False),
)
_BRIDGE: Final = (
    Row("produce + its delivery report", "bridge produce", "mqtrace", "0.2"),
    Row("poll + decorated handler that asks OpenTelemetry nothing", "bridge poll", "mqtrace", "0.3"),
    Row("produce, inside a span of OpenTelemetry's", "bridge produce inside", "mqtrace", "0.5"),
    Row("poll + decorated handler, inside a span of OpenTelemetry's", "bridge poll inside", "mqtrace", "1.5"),
    Row("`mqtrace run` of an empty program, its start", "run start", "mqtrace", "30", "ms"),
)
_KAFKA_PYTHON: Final = (
    Row("send, the application's thread, sampled", "kafka-python send", "mqtrace"),
    Row("send + its report, all threads, sampled", "kafka-python send and report", "mqtrace"),
    Row("a turn of a loop over a consumer, sampled", "kafka-python next", "mqtrace"),
)
_PIKA: Final = (
    Row("publish, sampled", "pika no socket publish", "mqtrace", "1/8", summary=True),
    Row("publish, unsampled", "pika no socket publish", "mqtrace unsampled"),
    Row("publish, not configured", "pika no socket publish", "mqtrace off"),
    Row("callback + its ack, sampled", "pika no socket consume", "mqtrace", "1/8", summary=True),
    Row("callback + its ack, unsampled", "pika no socket consume", "mqtrace unsampled"),
    Row("callback + its ack, not configured", "pika no socket consume", "mqtrace off"),
    Row("with the socket: publish, sampled", "pika publish", "mqtrace", "1/8"),
    Row("with the socket: callback + its ack, sampled", "pika consume", "mqtrace", "1/8"),
)
_AIO_PIKA: Final = (
    Row("publish, sampled", "aio-pika publish", "mqtrace", "1/5"),
    Row("publish, unsampled", "aio-pika publish", "mqtrace unsampled"),
    Row("publish, not configured", "aio-pika publish", "mqtrace off"),
    Row("callback + its ack, sampled", "aio-pika consume", "mqtrace", "1/5"),
    Row("callback + its ack, unsampled", "aio-pika consume", "mqtrace unsampled"),
    Row("callback + its ack, not configured", "aio-pika consume", "mqtrace off"),
)
_KOMBU: Final = (
    Row("publish, sampled", "kombu publish", "mqtrace"),
    Row("publish, unsampled", "kombu publish", "mqtrace unsampled"),
    Row("callback + its ack, sampled", "kombu consume", "mqtrace"),
    Row("callback + its ack, unsampled", "kombu consume", "mqtrace unsampled"),
)
_CELERY: Final = (
    Row("publish a task", "celery memory publish", "mqtrace"),
    Row("run a task", "celery memory run", "mqtrace"),
    Row("publish and run, sampled", "celery memory both", "mqtrace", "25", summary=True),
    Row("publish and run, unsampled", "celery memory both", "mqtrace unsampled", "5", summary=True),
    Row("publish and run, not configured", "celery memory both", "mqtrace off"),
    Row("publish and run, with receivers that do nothing", "celery memory floor", "mqtrace"),
    Row("a whole worker on Redis, export beside, CPU of everything", "celery worker", "mqtrace"),
    Row("Redis: publish a task", "celery redis publish", "mqtrace"),
    Row("Redis: run a task", "celery redis run", "mqtrace"),
    Row("Redis: publish and run, sampled", "celery redis both", "mqtrace", "25"),
    Row("Redis: publish and run, unsampled", "celery redis both", "mqtrace unsampled", "5"),
)
SECTIONS: Final[Mapping[str, Sequence[Row]]] = {
    "Kafka, confluent-kafka": _KAFKA,
    "Kafka, aiokafka": _AIOKAFKA,
    "Kafka, confluent_kafka.aio": _CONFLUENT_AIO,
    "Export over HTTP": _HTTP,
    "Beside OpenTelemetry and without a change of code: added to mqtrace alone, and to Python": _BRIDGE,
    "Kafka, kafka-python": _KAFKA_PYTHON,
    "RabbitMQ, pika's BlockingConnection": _PIKA,
    "RabbitMQ, aio-pika, without the socket": _AIO_PIKA,
    "kombu, memory transport": _KOMBU,
    "Celery": _CELERY,
}
