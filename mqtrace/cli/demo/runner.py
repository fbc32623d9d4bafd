"""Runs the demo: start the broker and the stages, read the span topic meanwhile, stop the stages in order.

The first stage ends by itself, each other one when it has received all that the one which feeds it has sent to it.
Another stage is another :class:`Hop`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from mqtrace.cli.assemble import Assembler
from mqtrace.cli.trouble import CommandError
from mqtrace.flow.readers.topic import SpanTopic, Target
from mqtrace.otlp.read import OtlpReader
from mqtrace.otlp.trace import Trace

from .process import DemoProcess
from .topics import borrowed

__all__ = ["SHOP", "Hop", "Outcome", "Runner"]

#: How long spans that were exported may take to appear on the topic, seconds.
_LAST_SPANS: Final = 5.0


@dataclass(frozen=True)
class Hop:
    """A stage: a role of a module that calls :func:`mqtrace.cli.demo.stage.work`."""

    role: str
    #: The role of the stage that feeds it; empty for the first.
    after: str = ""
    module: str = "mqtrace.cli.demo.shop"


#: The first makes the orders.
SHOP: Final = (Hop("front"), Hop("payments", "front"), Hop("shipping", "payments"))
_TOPICS: Final = ("orders", "payments", "notices", "otlp_spans")


@dataclass
class Outcome:
    """What the demo saw.

    ``stats``: of each stage's tracer; ``foreign_spans``: how many spans another library made in each stage, and sent
    to the same topic; ``cost``: see cost.py, empty where it was not measured.
    """

    bootstrap: str = ""
    traces: list[Trace] = field(default_factory=list)
    spans: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    foreign_spans: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Runner:
    """One run. ``progress`` is called with what is going on, often. ``timeout``: seconds for all of it.

    ``options``: what the stages need to know beside the Kafka broker, ``stage.options`` there.
    """

    def __init__(
        self,
        bootstrap: str | None,
        orders: int,
        timeout: float,
        progress: Callable[[str], None],
        hops: Sequence[Hop] = SHOP,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._orders = orders
        self._progress = progress
        self._hops = hops
        self._options = dict(options or {})
        self._began = time.monotonic()
        self._timeout = timeout
        self._prefix = "" if bootstrap is None else f"demo-{uuid.uuid4().hex[:6]}."
        self._reader = OtlpReader()
        self._assembler = Assembler(timeout, most_open=10 * orders + 1_000)

    def run(self) -> Outcome:
        """Do all of it. CommandError if a process fails, or the time is over."""
        outcome = Outcome()
        names = [self._prefix + name for name in _TOPICS]
        with ExitStack() as stack:
            cost = stack.enter_context(DemoProcess("mqtrace.cli.demo.cost"))
            if self._bootstrap is None:
                self._progress("starting a broker")
                broker = stack.enter_context(DemoProcess("mqtrace.cli.demo.broker", *names))
                self._until(lambda: "bootstrap" in broker.facts, "the embedded broker did not start", broker)
                outcome.bootstrap = broker.facts["bootstrap"]
            else:
                outcome.bootstrap = self._bootstrap
                self._progress("making topics")
                stack.enter_context(borrowed(outcome.bootstrap, names, [self._prefix + hop.role for hop in self._hops]))
            topic = SpanTopic(Target(outcome.bootstrap, names[-1], {}), from_beginning=True)
            stack.callback(topic.close)
            stages = self._stages(stack, outcome.bootstrap, topic, cost)
            for hop, stage in stages.items():
                outcome.sent[hop.role] = sum(stage.facts.get("sent", {}).values())
                outcome.received[hop.role] = stage.facts.get("received", 0)
                outcome.stats[hop.role] = stage.facts["stats"]
                outcome.foreign_spans[hop.role] = stage.facts["foreign_spans"]
            exported = sum(stats["spans_exported"] for stats in outcome.stats.values())
            self._last_spans(topic, exported + sum(outcome.foreign_spans.values()))
            self._until(lambda: cost.ended, "the measurement did not end", cost)
            outcome.cost = {key: value for key, value in cost.facts.items() if isinstance(value, (int, float))}
        outcome.traces = self._assembler.rest()
        outcome.spans = sum(len(trace.spans) for trace in outcome.traces)
        outcome.seconds = time.monotonic() - self._began
        return outcome

    def _stages(self, stack: ExitStack, bootstrap: str, topic: SpanTopic, cost: DemoProcess) -> dict[Hop, DemoProcess]:
        """Run the stages from the first to the last; each has ended afterwards."""
        stages: dict[Hop, DemoProcess] = {}

        def start(hop: Hop) -> None:
            argument = {
                "role": hop.role,
                "bootstrap": bootstrap,
                "orders": self._orders,
                "prefix": self._prefix,
                "options": self._options,
            }
            stages[hop] = stack.enter_context(DemoProcess(hop.module, json.dumps(argument)))
            stages[hop].name = hop.role

        # Consumers come first: a message that waits for its group to form would wait seconds.
        for hop in self._hops[1:]:
            start(hop)
        consumers = list(stages.values())
        while not all("ready" in stage.facts for stage in consumers):
            self._turn(topic, "waiting for the consumer groups", "the consumers did not get ready", *consumers)
        start(self._hops[0])
        roles = {hop.role: stage for hop, stage in stages.items()}
        for hop in self._hops:
            stage = stages[hop]
            while not stage.ended:
                if hop.after and stage.facts.get("received", 0) >= _sent(roles[hop.after], hop):
                    stage.tell_to_stop()
                progress = ", ".join(f"{one.role} {_count(one, stages)}" for one in self._hops)
                self._turn(
                    topic,
                    f"{self._orders} orders: {progress}; {self._reader.spans} spans",
                    "it did not end",
                    *stages.values(),
                )
            if "stats" not in stage.facts:
                raise CommandError(f"the demo's {hop.role} process ended: {stage.failure or 'it said nothing more'}")
        return {hop: stages[hop] for hop in self._hops}

    def _turn(self, topic: SpanTopic, doing: str, late: str, *processes: DemoProcess) -> None:
        """Read what has come to the span topic, and look after the processes."""
        self._progress(doing)
        for payload in topic.read(0.05):
            for span in self._reader.read(payload):
                self._assembler.add(span)
        self._look(late, *processes)

    def _until(self, reached: Callable[[], bool], late: str, *processes: DemoProcess) -> None:
        while not reached():
            self._look(late, *processes)
            time.sleep(0.02)

    def _look(self, late: str, *processes: DemoProcess) -> None:
        for process in processes:
            if process.failure is not None:
                raise CommandError(f"the demo's {process.name} process failed: {process.failure}")
        if time.monotonic() - self._began > self._timeout:
            raise CommandError(f"the demo took longer than {self._timeout:g} s, {late}: give it more with --timeout")

    def _last_spans(self, topic: SpanTopic, exported: int) -> None:
        """Read on until every exported span is here, or none has come for a while."""
        quiet_since, spans_seen = time.monotonic(), self._reader.spans
        while self._reader.spans < exported and time.monotonic() - quiet_since < _LAST_SPANS:
            self._turn(topic, "reading the span topic", "the span topic was not read to its end")
            if self._reader.spans > spans_seen:
                quiet_since, spans_seen = time.monotonic(), self._reader.spans


def _sent(stage: DemoProcess, to: Hop) -> int:
    """How many messages a stage has sent to another."""
    return int(stage.facts.get("sent", {}).get(to.role, 0))


def _count(hop: Hop, stages: dict[Hop, DemoProcess]) -> int:
    """How far a stage has come: what it received, or for the first one what it sent."""
    facts = stages[hop].facts
    return int(facts.get("received") or sum(facts.get("sent", {}).values()))
