"""The span topic, read from its beginning to its end, as OpenTelemetry's own protobuf reads it."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from .account import OnTopic

__all__ = ["SpanTopic"]


class SpanTopic:
    """Reads beside the load. A span's process is its service, and of a forked child its name."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._settings = {
            "bootstrap.servers": bootstrap,
            "group.id": "soak-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",  # a gap would be ours to explain
            "log_level": 0,
        }
        self._consumer = Consumer(self._settings)
        self._consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in range(partitions)])
        self._places = dict.fromkeys(range(partitions), 0)
        self._ids: defaultdict[str, set[bytes]] = defaultdict(set)
        self._again: Counter[str] = Counter()
        self._trouble = "no error was met"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def found(self, who: str) -> OnTopic:
        """What there is of a process."""
        return OnTopic(len(self._ids[who]), self._again[who])

    @property
    def processes(self) -> set[str]:
        """Whose spans there are."""
        return {who for who, ids in self._ids.items() if ids}

    def close(self, seconds: float = 60.0) -> bool:
        """Read to the end as it is now. False where that takes longer."""
        until = time.monotonic() + seconds
        # Not of the consumer that reads: its answer comes through the queue that another thread waits at.
        asking = Consumer(self._settings)
        try:
            for one in self._places:
                _, end = asking.get_watermark_offsets(TopicPartition(self._topic, one), timeout=10.0)
                while self._places[one] < end:
                    if time.monotonic() > until:
                        print(f"partition {one}: read up to {self._places[one]} of {end}; {self._trouble}")
                        return False
                    time.sleep(0.1)
            return True
        finally:
            asking.close()
            self._stop.set()
            self._thread.join()
            self._consumer.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(100, 0.2):
                if (error := message.error()) is not None:
                    self._trouble = str(error)
                    continue
                for resource in TracesData.FromString(message.value() or b"").resource_spans:
                    service = next(
                        one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
                    )
                    for scope in resource.scope_spans:
                        for span in scope.spans:
                            self._count(span.name if span.name.startswith("child ") else service, span.span_id)
                partition, offset = message.partition(), message.offset()
                if partition is not None and offset is not None:  # as every message that came
                    self._places[partition] = offset + 1

    def _count(self, who: str, span_id: bytes) -> None:
        if span_id in self._ids[who]:
            self._again[who] += 1
        else:
            self._ids[who].add(span_id)
