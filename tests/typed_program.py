"""A user's program with the names of the surface, for the type checker: nothing here runs.

mypy reads it as strictly as everything else; an unneeded ``Any`` or a missing overload is an error in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, Message, Producer

import mqtrace
from mqtrace.carriers import AmqpTable, Carrier, HttpHeaders, KafkaHeaders
from mqtrace.carriers import Mapping as Table
from mqtrace.export import Exporter
from mqtrace.propagation import Propagator
from mqtrace.sampling import Adaptive, Always, Never, ParentBased, Probability, RateLimit, Rule, Sampler
from mqtrace.testing import CarrierContract, FakeClock, Spans, record


class OwnSampler:
    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        return destination != "metrics"


class OwnExporter:
    def export(self, spans: Sequence[mqtrace.Span]) -> None: ...
    def shutdown(self, timeout: float) -> None: ...


class OwnCarrier:
    def get(self, name: str) -> str | None:
        return None

    def set(self, name: str, value: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def names(self) -> list[str]:
        return []


class OwnCarrierKeepsTheContract(CarrierContract):
    def make(self, headers: dict[str, str]) -> Carrier:
        return OwnCarrier()


class OwnFormat:
    name = "own"
    fields: tuple[str, ...] = ("x-own",)

    def extract(self, carrier: Carrier, context: mqtrace.Context) -> mqtrace.Context:
        return context

    def inject(self, carrier: Carrier, context: Any) -> None: ...


def configured() -> mqtrace.Tracer:
    sampler: Sampler = OwnSampler()
    exporter: Exporter = OwnExporter()
    own: Propagator = OwnFormat()
    for each in (0.5, Probability(0.1), RateLimit(1, burst=2), Adaptive(3), ParentBased(0.1, remote_sampled=Always())):
        mqtrace.Tracer("shop", each, exporter="none:", rules={"debug": "ignore", "orders": Never()})
    try:
        return mqtrace.configure(
            "shop",
            sampler=sampler,
            exporter=exporter,
            propagators=["tracecontext", own],
            resource={"service.version": "1"},
            relation="link",
            rules=[Rule("orders.*", rate=0.1)],
        )
    except mqtrace.ConfigurationError as error:
        raise SystemExit(str(error)) from error


def clients(tracer: mqtrace.Tracer) -> tuple[Producer, type[Producer], Consumer]:
    producer = mqtrace.wrap(Producer({}))
    plain: Producer = mqtrace.unwrap(producer)
    assert plain is tracer.unwrap(producer)
    return producer, mqtrace.wrap(Producer), tracer.wrap(Consumer({}))


class Handlers:
    tracer = configured()

    @mqtrace.consumer
    def method(self, message: Message) -> int:
        return 1

    @mqtrace.consumer(relation="link", name="cook")
    async def coroutine(self, message: Message) -> str:
        return ""

    @tracer.consumer
    def of_a_tracer(self, message: Message) -> bytes:
        return b""

    @tracer.consumer(name="serve")
    def generator(self, message: Message) -> Iterator[int]:
        yield 1

    async def all(self, message: Message) -> tuple[int, str, bytes, list[int]]:
        served = list(self.generator(message))
        return self.method(message), await self.coroutine(message), self.of_a_tracer(message), served


def messages(tracer: mqtrace.Tracer, consumer: Consumer) -> None:
    found: list[Message] = consumer.consume(10)
    for message in (*mqtrace.each(found), *tracer.each(found)):
        message.partition()
    with mqtrace.process(found[0], relation="parent", name="cook") as span, tracer.process(found[0]):
        span.set_attribute("a", 1)
    with mqtrace.batch(found, name="cook") as span, tracer.batch(found):
        span.set_attribute("a", 1)


def spans(tracer: mqtrace.Tracer) -> tuple[str | int | None, ...]:
    carrier: dict[str, str] = {}
    context: mqtrace.Context = tracer.extract(carrier)
    other = mqtrace.current_span()
    with tracer.start_span("a", kind="client", parent=None, links=[other, (context, {"why": 1})], start_time=1) as span:
        tracer.inject(carrier)
        tracer.inject(KafkaHeaders([]), context)
        span.set_attributes({"a": 1.5, "b": [1, 2]})
        span.add_event("e", {"a": 1}, timestamp=5)
        span.add_link(context, {"a": 1})
        span.record_exception(ValueError())
        span.set_status("error", "why")
        span.end(end_time=5)
    with mqtrace.use(context), mqtrace.use(None), tracer.use(span):
        pass
    events: Sequence[mqtrace.Event] = span.events
    links: Sequence[mqtrace.Link] = span.links
    attributes: Mapping[str, object] = span.attributes
    print(events, links, attributes, span.is_recording())
    for one in (AmqpTable({}), Table({}), HttpHeaders({}), KafkaHeaders([])):
        tracer.extract(one)
    ids = (span.trace_id, span.span_id, span.parent_id, span.trace_state, span.service)
    return *ids, span.name, span.kind, span.start_time, span.end_time, span.status, span.status_description


def the_end(tracer: mqtrace.Tracer) -> dict[str, Any]:
    left: bool = mqtrace.flush(timeout=1.0) and mqtrace.shutdown(1) and tracer.flush() and tracer.shutdown()
    return {**mqtrace.stats(), **tracer.stats(), "left": left}


def a_test() -> mqtrace.Span:
    with record("shop", clock=FakeClock(), sampler=0.5) as recorded:
        found: Spans = recorded
    return found[0]
