"""Every encoding over every transport: what arrives is what the encoder made of the spans, byte by byte.

What the encoders make is held against OpenTelemetry's in test_encodings.py, tests/otel/test_readable_span.py and
tests/otel/test_zipkin.py.
"""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from mqtrace.environment import Environment
from mqtrace.export import from_url
from mqtrace.export.batch import BatchProcessor
from mqtrace.export.encodings import ENCODINGS, named

from .receiver import Receiver

#: (URL of the exporter, what has arrived)
Transport = tuple[str, Callable[[], bytes]]


def _kafka(embedded: Any) -> Iterator[Transport]:
    (broker,) = embedded.list_topics(timeout=10).brokers.values()
    topic = f"spans-{uuid.uuid4().hex[:8]}"
    embedded.list_topics(topic, timeout=10)
    consumer = Consumer({"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": uuid.uuid4().hex})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])

    def arrived() -> bytes:
        deadline = time.monotonic() + 20
        while (message := consumer.poll(0.2)) is None or message.error() is not None:
            assert time.monotonic() < deadline, "nothing is on the topic"
        return message.value() or b""

    yield f"kafka://{broker.host}:{broker.port}/{topic}", arrived
    consumer.close()


def _http() -> Iterator[Transport]:
    receiver = Receiver()
    yield f"http://{receiver.address}", lambda: receiver.requests[0].body
    receiver.close()


def _file(path: Path) -> Iterator[Transport]:
    def arrived() -> bytes:
        content = path.read_bytes()
        if struct.unpack(">I", content[:4]) == (len(content) - 4,):
            return content[4:]
        assert content[-1:] == b"\n"
        return content[:-1]

    yield f"file://{path}", arrived


@pytest.fixture
def transport(request: pytest.FixtureRequest, embedded: Any, tmp_path: Path) -> Iterator[Transport]:
    made: dict[str, Callable[[], Iterator[Transport]]]
    made = {"kafka": lambda: _kafka(embedded), "http": _http, "file": lambda: _file(tmp_path / "spans")}
    yield from made[request.param]()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("transport", ["kafka", "http", "file"], indirect=True)
def test_what_arrives_is_what_the_encoder_made(
    process: Callable[..., BatchProcessor], maker: Any, transport: Transport, encoding: str
) -> None:
    url, arrived = transport
    processor = process(from_url(f"{url}?encoding={encoding}", Environment({})))
    spans = maker(processor)
    sent = []
    for number in range(20):
        span = spans.start(spans.template(f"send Größe {number}", "producer", {"messaging.system": "kafka"}))
        span.set_attributes({"n": number, "list": [1, 2], "bytes": b"\xff\n\0", "line": "a\nb"})
        span.add_event("oven is hot", {"degrees": 300})
        span.set_status("error", "no such pizza")
        span.end()
        sent.append(span)
    assert processor.flush(10)
    assert arrived() == named(encoding).encode(sent)
