"""The frame around the shop's code: how the demo configures and stops one of its processes, and what that reports.

A process is configured by one JSON argument. It stops at SIGTERM or at the end of its stdin, which also comes when the
demo itself is killed. It reports in JSON lines on stdout: ``ready``, how many messages it ``received`` so far and how
many it ``sent`` to which other stage, and at its end the counts of its tracer.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import mqtrace

__all__ = ["Stage", "stop_event", "work"]

# Seconds between two lines about messages: a line each would cost more than the message.
_PACE: Final = 0.1


class Stage:
    """One process of the demo, from the inside."""

    def __init__(self, argument: Mapping[str, Any], stop: threading.Event) -> None:
        #: Bootstrap servers.
        self.bootstrap: str = argument["bootstrap"]
        #: Orders to make in all.
        self.orders: int = argument["orders"]
        #: What the stages need to know beside the Kafka broker: addresses of other brokers.
        self.options: Mapping[str, str] = argument["options"]
        #: Spans that another library has ended here and exports to the same topic.
        self.foreign_spans = 0
        #: What is called when all work is done: such a library's last export.
        self.at_end: list[Callable[[], object]] = []
        self._prefix: str = argument["prefix"]
        self._stop = stop
        self._received = 0
        self._sent: dict[str, int] = {}
        self._said_at = 0.0

    @property
    def exporter(self) -> str:
        """Where spans go."""
        return f"kafka://{self.bootstrap}/{self.topic('otlp_spans')}"

    @property
    def running(self) -> bool:
        """Whether to go on."""
        self._say_counts()
        return not self._stop.is_set()

    def wait(self, seconds: float) -> None:
        """Wait until it is time to stop, or for so long."""
        self._stop.wait(seconds)

    def topic(self, name: str) -> str:
        """The name of a topic in this run: on a shared broker, one that nobody else has."""
        return self._prefix + name

    def group(self, name: str) -> dict[str, Any]:
        """The configuration of a consumer in a group."""
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": self.topic(name),
            "auto.offset.reset": "earliest",
            # The embedded broker answers a fetch without messages only after this many ms, whatever comes meanwhile.
            "fetch.wait.max.ms": 10,
        }

    def ready(self, *_: object, **__: object) -> None:
        """Report that work can come; also as a consumer's ``on_assign``, and as the receiver of a signal."""
        say(ready=True)

    def received(self, messages: int = 1) -> None:
        """Report that messages have been processed."""
        self._received += messages
        self._say_counts()

    def sent(self, role: str) -> None:
        """Report that a message has been sent to the stage of this role."""
        self._sent[role] = self._sent.get(role, 0) + 1
        self._say_counts()

    def _say_counts(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._said_at > _PACE:
            self._said_at = time.monotonic()
            say(received=self._received, sent=self._sent)

    def end(self) -> None:
        """Send what is left, and report the counts."""
        for end in self.at_end:
            end()
        in_time = mqtrace.shutdown(10.0)
        self._say_counts(now=True)
        say(end=True, in_time=in_time, stats=mqtrace.stats(), foreign_spans=self.foreign_spans)


# How long a process may go on without the demo, s.
_ORPHAN_S: Final = 5.0
# A worker's threads speak too, and print() writes a line in two pieces.
_speaking: Final = threading.RLock()


def say(**facts: Any) -> None:
    """Write a line to the demo."""
    try:
        with _speaking:
            sys.stdout.write(f"{json.dumps(facts)}\n")
            sys.stdout.flush()
    except OSError:
        pass  # the demo has gone; stdin says so too


def stop_event() -> threading.Event:
    """An event that SIGTERM sets, and the end of stdin: the demo has gone, and the process follows it."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def listen() -> None:
        sys.stdin.read()
        stop.set()
        time.sleep(_ORPHAN_S)
        os._exit(1)  # a client may wait for ever for the embedded broker, which went with the demo

    threading.Thread(target=listen, daemon=True).start()
    return stop


def work(roles: Mapping[str, Callable[[Stage], None]]) -> None:
    """Run the stage that the argument names, to its end."""
    argument = json.loads(sys.argv[1])
    stage = Stage(argument, stop_event())
    roles[argument["role"]](stage)
    stage.end()
