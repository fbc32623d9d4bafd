"""The process under load: ``python -m bench.soak.load BOOTSTRAP SPAN_TOPIC SPANS_PER_SECOND``, until its input ends.

It sends and handles messages of a topic, some with hostile headers, and tops up with spans of its own; a thread looks
at its counts every few milliseconds. It says what it has in JSON lines.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Final

from confluent_kafka import Consumer, Producer

import mqtrace

from .account import balance
from .children import Children, say
from .foreign import ForeignProducer
from .headers import HOSTILE

__all__ = ["main"]

_TOPIC: Final = "soak-orders"
#: Of the spans, how many are of messages; the rest tops up to the rate, also while the broker is away.
_MESSAGES: Final = 0.3
_TICK: Final = 0.01
_HOSTILE_EVERY: Final = 0.25
_CHILD_EVERY: Final = 3.0
#: Seconds in which the handler has to come to the end of the topic.
_CATCH_UP: Final = 30.0


class Watch:
    """Looks at the counts, at every moment as good as possible."""

    def __init__(self) -> None:
        self.looks = 0
        self.unbalanced: list[Any] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.004):
            stats = mqtrace.stats()
            self.looks += 1
            if balance(stats) and len(self.unbalanced) < 10:
                self.unbalanced.append(stats)

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()


class Shop:
    """Sends and handles. ``made``: the spans that this makes, by its own counting."""

    def __init__(self, bootstrap: str, topic: str = _TOPIC) -> None:
        self._topic = topic
        common = {"bootstrap.servers": bootstrap, "log_level": 0}
        settings = {**common, "message.timeout.ms": 10_000, "linger.ms": 5}
        self._producer = mqtrace.wrap(Producer)(settings)
        self._stranger = Producer(settings)
        self._foreign = ForeignProducer(bootstrap, topic)
        self._consumer = mqtrace.wrap(Consumer)({**common, "group.id": topic, "auto.offset.reset": "earliest"})
        self._consumer.subscribe([topic])
        self._handle = mqtrace.consumer(self._handle_one)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.sent = self.handled = self.hostile = self.refused = self.failed = self.unreadable = 0
        self._thread.start()

    @property
    def made(self) -> int:
        """Send and process spans."""
        return self.sent + self.handled

    @property
    def hostile_names(self) -> int:
        """Messages that arrived with a header whose name is not UTF-8."""
        return self._foreign.sent

    def send(self) -> None:
        """A message of our own."""
        try:
            self._producer.produce(self._topic, b"one pizza")
        except BufferError:
            self.refused += 1
        self.sent += 1

    def send_hostile(self) -> None:
        """A message of somebody who is not traced, and means no good."""
        try:
            self._stranger.produce(self._topic, b"one pizza", headers=list(HOSTILE[self.hostile % len(HOSTILE)]))
            self.hostile += 1
        except BufferError:
            pass  # the broker is away, and its queue is full

    def serve(self) -> None:
        """Delivery reports."""
        self._producer.poll(0)
        self._stranger.poll(0)

    def close(self) -> None:
        """Deliver, and stop handling."""
        self._producer.flush(20)
        self._stranger.flush(20)
        self._foreign.close()
        until = time.monotonic() + _CATCH_UP
        while self.unreadable < self.hostile_names and time.monotonic() < until:
            time.sleep(_TICK)
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _handle_one(self, message: Any) -> None:
        self.handled += 1
        try:
            for _ in message.headers() or ():
                pass
        except SystemError:  # the client's own, of a header whose name is not UTF-8
            self.unreadable += 1
        if self.handled % 100 == 0:
            self.failed += 1
            raise ValueError("one in a hundred")

    def _poll(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                try:
                    self._handle(message)
                except ValueError:
                    pass


def _listen(told_to_stop: threading.Event) -> None:
    # Not sys.stdin.read(), which holds a lock that a child of multiprocessing waits for when it closes its stdin.
    while os.read(0, 1024):
        pass
    told_to_stop.set()


def main(bootstrap: str, topic: str, rate: str) -> None:
    """Run."""
    mqtrace.configure("load", sampler=1.0, exporter=f"kafka://{bootstrap}/{topic}?message.timeout.ms=8000")
    told_to_stop = threading.Event()
    threading.Thread(target=_listen, args=(told_to_stop,), daemon=True).start()
    watch, shop, children = Watch(), Shop(bootstrap), Children()
    own = 0
    began = said = child = hostile = time.monotonic()
    while not told_to_stop.wait(_TICK):
        now = time.monotonic()
        while shop.sent < (now - began) * float(rate) * _MESSAGES:
            shop.send()
        while own + shop.made < (now - began) * float(rate):
            with mqtrace.start_span("work", parent=None, attributes={"number": own}):
                own += 1
        shop.serve()
        if now - hostile > _HOSTILE_EVERY:
            hostile = now
            shop.send_hostile()
        if now - child > _CHILD_EVERY:
            child = now
            children.begin()
        if now - said > 1.0:
            said = now
            say(stats=mqtrace.stats(), looks=watch.looks)
    seconds = time.monotonic() - began
    shop.close()
    children.wait()
    in_time = mqtrace.shutdown(30.0)
    watch.close()
    names = ("sent", "handled", "hostile", "hostile_names", "unreadable", "refused", "failed")
    counts = {name: getattr(shop, name) for name in names}
    say(
        end=True,
        seconds=seconds,
        made=own + shop.made,
        in_time=in_time,
        stats=mqtrace.stats(),
        looks=watch.looks,
        unbalanced=watch.unbalanced,
        **counts,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
