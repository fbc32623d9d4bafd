"""What a finished span keeps in memory counts against MQTRACE_MAX_QUEUE_BYTES, whatever it is; the rest it lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import confluent_kafka
import pytest

import mqtrace
from mqtrace.testing import Spans, record
from tests.stuck_exporter import BOUND, StuckExporter, check_bound

LONG = 100_000
TRACEPARENT = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
CONTEXT = mqtrace.Context(TRACEPARENT.encode())
STATE = ",".join(f"key{number:0>252}=" + "v" * 256 for number in range(32))
BAGGAGE = ",".join(f"key{number}=" + "v" * 100 for number in range(64))


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Iterator[mqtrace.Tracer]:
    monkeypatch.setenv("MQTRACE_MAX_QUEUE_BYTES", str(BOUND))
    exporter = StuckExporter()
    made = mqtrace.Tracer("shop", exporter=exporter)
    yield made
    exporter.released.set()
    made.shutdown(5)


def remote(number: int, **headers: str) -> dict[str, str]:
    return {"traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01", **headers}


def message(headers: dict[str, str]) -> Any:
    pairs: Any = [(name, value.encode()) for name, value in headers.items()]
    return confluent_kafka.Message(topic="orders", partition=0, offset=0, value=b"v", headers=pairs)


def spanning(act: Callable[[Any, str], object]) -> Callable[[mqtrace.Tracer, int], None]:
    """A span with a long text of its own."""

    def run(tracer: mqtrace.Tracer, number: int) -> None:
        span = tracer.start_span("a")
        act(span, str(number) + "x" * LONG)
        span.end()

    return run


def failed(span: mqtrace.Span, text: str) -> None:
    span.record_exception(ValueError(text))


def linked(span: mqtrace.Span, text: str) -> None:
    for number in range(8):
        span.add_link(mqtrace.Context(TRACEPARENT.encode(), STATE[number:] + "y"))


def many(span: mqtrace.Span, text: str) -> None:
    for number in range(128):
        span.set_attribute(f"key {text[:6]} {number}", number)
        span.add_event("e")
        span.add_link(mqtrace.Context(TRACEPARENT.encode()))


def handled(tracer: mqtrace.Tracer, number: int) -> None:
    tracer.consumer(lambda _: None)(message(remote(number, tracestate=STATE)))


def sent(tracer: mqtrace.Tracer, number: int) -> None:
    tracer.start_span("a", kind="producer", parent=tracer.extract(remote(number, tracestate=STATE))).end()


def named(tracer: mqtrace.Tracer, number: int) -> None:
    with tracer.process(message(remote(number)), name=str(number) + "x" * LONG):
        pass


def batched(tracer: mqtrace.Tracer, number: int) -> None:
    with tracer.batch([message(remote(number * 400 + one)) for one in range(400)]):
        pass


KINDS: dict[str, tuple[Callable[[mqtrace.Tracer, int], None], int]] = {
    "the status": (spanning(lambda span, text: span.set_status("error", text)), LONG),
    "a value": (spanning(lambda span, text: span.set_attribute("k", text)), LONG),
    "a value of wide characters": (spanning(lambda span, text: span.set_attribute("k", text + "\U0001f600")), 4 * LONG),
    "bytes": (spanning(lambda span, text: span.set_attribute("k", text.encode())), LONG),
    "a list": (spanning(lambda span, text: span.set_attribute("k", [text[:5]] * 2000)), 100_000),
    "a key": (spanning(lambda span, text: span.set_attribute(text, 1)), LONG),
    "an event's name": (spanning(lambda span, text: span.add_event(text)), LONG),
    "an event's value": (spanning(lambda span, text: span.add_event("e", {"k": text})), LONG),
    "an exception": (spanning(failed), 2 * LONG),
    "a link's value": (
        spanning(lambda span, text: span.add_link(mqtrace.Context(TRACEPARENT.encode()), {"k": text})),
        LONG,
    ),
    "the tracestates of links": (spanning(linked), 8 * len(STATE)),
    "many small things": (spanning(many), 80_000),
    "its name": (lambda tracer, number: tracer.start_span(str(number) + "x" * LONG).end(), 2 * LONG),
    "its name, given to process": (named, 2 * LONG),
    "a sender's tracestate": (handled, len(STATE)),
    "a parent's tracestate": (sent, len(STATE)),
    "the links of a batch": (batched, 80_000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_span_keeps_is_bounded(kind: str, tracer: mqtrace.Tracer) -> None:
    act, weight = KINDS[kind]
    check_bound(tracer, act, weight)


def test_a_text_that_is_replaced_weighs_once(tracer: mqtrace.Tracer) -> None:
    span: Any = tracer.start_span("a")
    for number in range(100):
        span.set_status("error", str(number) + "x" * LONG)
        span.set_attribute("k", str(number) + "x" * LONG)
    assert span.details.weight < 3 * LONG
    span.end()
    assert tracer.stats()["spans_queued"] == 1


def test_names_that_are_made_up_are_not_kept(tracer: mqtrace.Tracer) -> None:
    for number in range(20):
        tracer.start_span(str(number) + "x" * LONG).end()
        with tracer.process(message({}), name=str(number) + "x" * LONG):
            pass
    held = [name for name, _ in tracer._names] + [name or "" for _, name in tracer.operations]
    assert max(map(len, held), default=0) < 1000


# ---------------------------------------------------------------------- what it lets go


def with_block(spans: Spans, given: Any) -> None:
    with spans.tracer.process(given):
        pass


def with_handler(spans: Spans, given: Any) -> None:
    spans.tracer.consumer(lambda _: None)(given)


def with_a_handler_that_raises(spans: Spans, given: Any) -> None:
    with pytest.raises(ValueError, match="no"):
        spans.tracer.consumer(lambda _: int("no"))(given)


def with_a_loop(spans: Spans, given: Any) -> None:
    list(spans.tracer.each([given]))


def by_hand(spans: Spans, given: Any) -> None:
    spans.tracer.start_span("a", parent=spans.tracer.extract(given.headers())).end()


@pytest.mark.parametrize("handle", [with_block, with_handler, with_a_handler_that_raises, with_a_loop, by_hand])
def test_an_ended_span_lets_go_of_its_baggage(handle: Callable[[Spans, Any], None]) -> None:
    with record() as spans:
        handle(spans, message(remote(0, baggage=BAGGAGE)))
    assert [span.baggage for span in spans] == [None]


@pytest.mark.parametrize("how", ["block", "handler"])
def test_a_span_that_ends_in_its_block_passes_its_baggage_on_until_the_block_is_left(how: str) -> None:
    carrier: dict[str, str] = {}

    def work(span: Any) -> None:
        span.end()
        spans.tracer.inject(carrier)

    with record() as spans:
        given = message(remote(0, baggage="tenant=acme"))
        if how == "block":
            with spans.tracer.process(given) as span:
                work(span)
        else:
            spans.tracer.consumer(lambda _: work(mqtrace.current_span()))(given)
    assert carrier["baggage"] == "tenant=acme"
    assert [span.baggage for span in spans] == [None]


def test_a_link_keeps_no_baggage() -> None:
    with record() as spans:
        span: Any = spans.tracer.start_span("a", links=[mqtrace.Context(TRACEPARENT.encode(), "a=b", {"k": "v"})])
        span.end()
        (link,) = span.links
    assert (link.context.trace_state, link.context.baggage) == ("a=b", None)


# ---------------------------------------------------------------------- the length limit


def test_the_length_limit_holds_for_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100")
    got: list[mqtrace.Span] = []

    class Keep:
        def export(self, spans: Sequence[mqtrace.Span]) -> None:
            got.extend(spans)

        def shutdown(self, timeout: float) -> None: ...

    long = "x" * 1000
    tracer = mqtrace.Tracer("shop", exporter=Keep())
    with pytest.raises(ValueError, match="xxx"), tracer.process(message({}), name=long) as span:
        span.set_attributes({"text": long, "list": [long, long]})
        span.add_event(long, {"text": long})
        span.add_link(mqtrace.Context(TRACEPARENT.encode()), {"text": long})
        raise ValueError(long)
    tracer.start_span(long, attributes={"text": long}).end()
    assert tracer.flush(5)
    tracer.shutdown(1)

    def texts(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, tuple)):
            for item in value:
                yield from texts(item)

    found = [
        text
        for span in got
        for value in (
            span.name,
            span.status_description,
            *span.attributes.values(),
            *(each for event in span.events for each in (event.name, *event.attributes.values())),
            *(each for link in span.links for each in link.attributes.values()),
        )
        for text in texts(value)
    ]
    assert max(map(len, found)) == 100
    assert sum(len(text) == 100 for text in found) >= 10
