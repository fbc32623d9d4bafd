"""How far behind a topic's reader is, asked by another thread than the one that reads."""

from __future__ import annotations

import threading
import time

from confluent_kafka import Producer

from mqtrace.flow.readers.topic import TopicReader, parse


def test_who_asks_does_not_wait_for_the_reader() -> None:
    """The client lets a second thread in when the first one happens not to poll: after seconds, or never."""
    embedded = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1})
    (broker,) = embedded.list_topics(timeout=10).brokers.values()
    bootstrap = f"{broker.host}:{broker.port}"
    producer = Producer({"bootstrap.servers": bootstrap})
    for _ in range(30):
        producer.produce("spans", b"nothing")
    assert producer.flush(10) == 0
    reader = TopicReader(parse(f"kafka://{bootstrap}/spans"))
    reader.start({})
    over = threading.Event()
    taken: list[bytes | None] = []

    def read() -> None:
        while not over.is_set():
            taken.extend(reader.read(0.2))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        waited = []
        for _ in range(10):
            began = time.monotonic()
            behind = reader.behind
            waited.append(time.monotonic() - began)
            time.sleep(0.05)
        deadline = time.monotonic() + 10
        while (len(taken) < 30 or reader.behind) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert max(waited) < 0.1
        assert behind is not None
        assert (len(taken), reader.behind) == (30, 0)
    finally:
        over.set()
        thread.join(10)
        reader.close()
