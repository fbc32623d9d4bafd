"""What is measured: every part in a process of its own, for every variant."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["FAMILIES", "PARTS", "VARIANTS", "Part"]


class Part(NamedTuple):
    """``module``: has ``figures(variant, address, count)``. ``broker``: whose address it gets, see brokers.py."""

    family: str
    module: str
    broker: str


VARIANTS: Final = ("bare", "mqtrace", "mqtrace unsampled", "mqtrace off", "opentelemetry")
PARTS: Final = (
    Part("kafka", "bench.kafka.calls", "kafka"),
    Part("kafka", "bench.kafka.whole", "kafka"),
    Part("aiokafka", "bench.aiokafka.no_socket", "kafka"),
    Part("aiokafka", "bench.aiokafka.calls", "kafka"),
    Part("confluent-aio", "bench.confluent_aio.calls", "kafka"),
    Part("http", "bench.http.calls", "memory"),
    Part("bridge", "bench.bridge.calls", "kafka"),
    Part("bridge", "bench.bridge.start", "memory"),
    # whose version 3 cannot read what the embedded broker says of its versions
    Part("kafka-python", "bench.kafka_python.calls", "Kafka server"),
    Part("pika", "bench.pika.no_socket", "rabbitmq"),
    Part("pika", "bench.pika.calls", "rabbitmq"),
    Part("aio-pika", "bench.aio_pika.no_socket", "rabbitmq"),
    Part("kombu", "bench.kombu.calls", "memory"),
    Part("celery", "bench.celery.calls", "memory"),
    Part("celery", "bench.celery.calls", "redis"),
    Part("celery", "bench.celery.worker", "redis"),
)
FAMILIES: Final = tuple(dict.fromkeys(part.family for part in PARTS))
