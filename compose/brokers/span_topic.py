"""Where the readers of the span topic find it: the Kafka of KAFKA_BOOTSTRAP, else that of this run."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request

from brokers.kafka import Kafka, ask_for_topic
from brokers.place import Place, folder_of_run
from brokers.ports import HOST
from brokers.trouble import Trouble

__all__ = ["group_of", "responds", "span_kafka"]


def span_kafka(topic: str) -> str:
    """``host:port`` of the broker, after its topic exists: a reader that starts before it may find it minutes later."""
    address = os.environ.get("KAFKA_BOOTSTRAP", "").partition(",")[0]
    if not address:
        port, processes = Place(Kafka.name).known()
        if port is None or not processes or not processes[0].alive:
            raise Trouble("the readers need a Kafka: `compose/up kafka` first, or set KAFKA_BOOTSTRAP.")
        address = f"{HOST}:{port}"
    deadline = time.monotonic() + 20
    while not ask_for_topic(address, topic):
        if time.monotonic() > deadline:
            raise Trouble(f"the Kafka at {address} has no topic {topic} and makes none.")
        time.sleep(0.2)
    return address


def group_of(reader: str) -> str:
    """A consumer group of this run: two runs on one broker each read everything."""
    return f"mqtrace-{reader}-{hashlib.sha256(str(folder_of_run()).encode()).hexdigest()[:8]}"


def responds(port: int, path: str, body: bytes | None = None) -> bool:
    """Whether an HTTP request is answered with 2xx."""
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return bool(200 <= response.status < 300)
    except (OSError, urllib.error.URLError, ValueError):
        return False
