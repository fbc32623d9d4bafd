"""The surface: the names that programs rely on, and what they promise."""

from __future__ import annotations

import inspect
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest

import mqtrace
from mqtrace import tracer as tracers
from mqtrace.export.memory import MemoryExporter
from mqtrace.testing import record


@pytest.fixture
def default_tracer_restored() -> Iterator[None]:
    before = tracers.set_default(None)
    yield
    mqtrace.shutdown()
    tracers.set_default(before)


def test_every_name_is_there() -> None:
    names = (
        "configure Tracer wrap unwrap consumer process each batch instrument_celery uninstrument_celery current_span "
        "start_span inject extract baggage set_baggage "
        "use flush shutdown stats ConfigurationError carriers sampling propagation __version__"
    )
    for name in names.split():
        assert hasattr(mqtrace, name), name
    for name in ("KafkaHeaders", "AmqpTable", "Mapping", "HttpHeaders"):
        assert hasattr(mqtrace.carriers, name), name
    for name in ("Probability", "RateLimit", "Adaptive", "ParentBased", "Always", "Never"):
        assert hasattr(mqtrace.sampling, name), name
    for name in [
        "wrap",
        "unwrap",
        "consumer",
        "process",
        "each",
        "batch",
        "current_span",
        "use",
        "flush",
        "shutdown",
        "stats",
        "start_span",
        "inject",
        "extract",
        "baggage",
        "set_baggage",
    ]:
        assert callable(getattr(mqtrace.Tracer, name)), name


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        (mqtrace.configure, "service sampler exporter propagators resource relation rules"),
        (mqtrace.Tracer, "service sampler exporter propagators resource relation rules"),
        (mqtrace.process, "message relation name"),
        (mqtrace.each, "messages"),
        (mqtrace.batch, "messages name"),
        (mqtrace.flush, "timeout"),
        (mqtrace.shutdown, "timeout"),
        (mqtrace.wrap, "client tracer"),
        (mqtrace.Tracer.start_span, "self name kind parent links attributes start_time"),
        (mqtrace.start_span, "name kind parent links attributes start_time"),
        (mqtrace.Tracer.inject, "self carrier context"),
        (mqtrace.inject, "carrier context"),
        (mqtrace.extract, "carrier"),
        (mqtrace.set_baggage, "name value"),
        (mqtrace.Span.add_event, "self name attributes timestamp"),
        (mqtrace.Span.add_link, "self context attributes"),
        (mqtrace.Span.set_status, "self status description"),
        (mqtrace.Span.end, "self end_time"),
    ],
)
def test_arguments_have_their_names_and_order(call: Any, parameters: str) -> None:
    found = [name for name in inspect.signature(call).parameters if name in parameters.split()]
    assert found == parameters.split()


def test_a_finished_span_can_be_read_whole() -> None:
    with record("shop", sampler=1.0) as spans:
        with spans.tracer.start_span("charge card", kind="client", attributes={"amount": 12}) as span:
            span.add_event("retried", {"times": 2})
            span.set_status("error", "declined")
    (found,) = spans
    assert found is span
    assert (found.name, found.kind, found.service) == ("charge card", "client", "shop")
    assert found.attributes == {"amount": 12}
    assert [(event.name, event.attributes) for event in found.events] == [("retried", {"times": 2})]
    assert (found.status, found.status_description) == ("error", "declined")
    assert (len(found.trace_id), len(found.span_id), found.parent_id) == (32, 16, None)
    assert found.end_time is not None
    assert found.end_time >= found.start_time > 1_700_000_000_000_000_000
    assert found.trace_state == ""
    assert tuple(found.links) == ()


@pytest.mark.usefixtures("default_tracer_restored")
def test_configure_again_ships_what_the_old_one_has() -> None:
    first, second = MemoryExporter(), MemoryExporter()
    one = mqtrace.configure("one", exporter=first)
    one.start_span("a").end()
    assert mqtrace.stats()["spans_queued"] == 1
    two = mqtrace.configure("two", exporter=second)
    assert one.shutdown(5)
    assert [span.name for span in first.spans] == ["a"]
    assert tracers.default() is two
    two.start_span("b").end()
    assert mqtrace.flush(5)
    assert [span.name for span in second.spans] == ["b"]
    assert one.stats()["spans_ended"] == 1


@pytest.mark.usefixtures("default_tracer_restored")
def test_configure_again_does_not_wait_for_the_old_ones_exporter() -> None:
    class Hanging:
        def __init__(self) -> None:
            self.let_go = threading.Event()
            self.spans = 0

        def export(self, spans: Any) -> None:
            self.let_go.wait(30)
            self.spans += len(spans)

        def shutdown(self, timeout: float) -> None: ...

    hanging = Hanging()
    one = mqtrace.configure("one", exporter=hanging)
    for _ in range(150):
        one.start_span("a").end()
    began = time.monotonic()
    mqtrace.configure("two", exporter="none:")
    assert time.monotonic() - began < 0.5
    one.start_span("late").end()
    stats = one.stats()
    assert (stats["spans_ended"], stats["spans_dropped"]["shutdown"]) == (151, 1)
    assert stats["spans_queued"] + stats["spans_in_flight"] == 150
    hanging.let_go.set()
    ends = time.monotonic() + 5
    while one.stats()["spans_exported"] < 150 and time.monotonic() < ends:
        time.sleep(0.01)
    assert hanging.spans == 150
    assert one.shutdown(5)
    assert one.stats() == {
        **stats,
        "spans_exported": 150,
        "spans_queued": 0,
        "spans_in_flight": 0,
        "batches_exported": 2,
    }


@pytest.mark.usefixtures("default_tracer_restored")
def test_what_does_not_leave_after_configure_is_counted_by_the_worker() -> None:
    class Refusing:
        def export(self, spans: Any) -> None:
            raise ConnectionError

        def shutdown(self, timeout: float) -> None: ...

    one = mqtrace.configure("one", exporter=Refusing())
    for _ in range(10):
        one.start_span("a").end()
    mqtrace.configure("two", exporter="none:")
    ends = time.monotonic() + 5
    while one.stats()["spans_dropped"]["export_failed"] < 10 and time.monotonic() < ends:
        time.sleep(0.01)
    assert one.stats()["spans_dropped"] == {**dict.fromkeys(one.stats()["spans_dropped"], 0), "export_failed": 10}
    assert not one.shutdown(5)


@pytest.mark.usefixtures("default_tracer_restored")
def test_the_counts_add_up_at_every_moment() -> None:
    class Slow:
        def export(self, spans: Any) -> None:
            if len(spans) % 2:
                raise ConnectionError

        def shutdown(self, timeout: float) -> None: ...

    tracer = mqtrace.configure("counted", exporter=Slow())
    done = threading.Event()
    off: list[dict[str, Any]] = []

    def watch() -> None:
        while not done.is_set():
            stats = mqtrace.stats()
            held = stats["spans_exported"] + stats["spans_queued"] + stats["spans_in_flight"]
            if stats["spans_ended"] != held + sum(stats["spans_dropped"].values()):
                off.append(stats)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(20_001):
        tracer.start_span("work").end()
    mqtrace.flush(10)
    done.set()
    watcher.join()
    mqtrace.shutdown(5)
    tracer.start_span("late").end()
    stats = mqtrace.stats()
    assert not off
    assert stats["spans_ended"] == 20_002
    assert stats["spans_queued"] == stats["spans_in_flight"] == 0
    assert stats["spans_dropped"]["shutdown"] == 1


@pytest.mark.usefixtures("default_tracer_restored")
def test_before_configure_everything_works_and_nothing_is_made() -> None:
    assert not mqtrace.current_span().is_recording()
    with mqtrace.process(None), mqtrace.batch([]), mqtrace.use(None):
        pass
    assert list(mqtrace.each([1, 2])) == [1, 2]
    assert mqtrace.flush()
    assert mqtrace.stats()["spans_ended"] == 0


def test_the_fixture_records(record: Any) -> None:
    record.tracer.start_span("seen").end()
    assert [span.name for span in record] == ["seen"]


@pytest.mark.parametrize("context", [7, "x", mqtrace.Context(b"short"), object()])
def test_use_of_what_cannot_be_current_is_a_type_error(context: Any) -> None:
    with pytest.raises(TypeError, match="takes a span or a Context"):
        mqtrace.use(context)


def test_what_is_no_tracer_is_a_configuration_error() -> None:
    surface: Any = mqtrace
    calls: tuple[Any, ...] = (
        lambda: surface.wrap(confluent_kafka.Producer, tracer="orders"),
        lambda: surface.consumer(tracer="orders"),
        lambda: surface.instrument_celery(tracer="orders"),
    )
    for call in calls:
        with pytest.raises(mqtrace.ConfigurationError, match="tracer='orders' is not a tracer: write"):
            call()


def test_spans_of_the_default_tracer_start_at_module_level() -> None:
    with record() as spans:
        with mqtrace.start_span("a", kind="client", attributes={"n": 1}) as above:
            carrier: dict[str, str] = {}
            mqtrace.inject(carrier)
        with mqtrace.start_span("b", parent=mqtrace.extract(carrier), links=[above]) as below:
            pass
    assert [(span.name, span.kind) for span in spans] == [("a", "client"), ("b", "internal")]
    assert (below.trace_id, below.parent_id) == (above.trace_id, above.span_id)
    assert [link.context.span_id for link in below.links] == [above.span_id]


def test_ids_are_text_on_spans_and_contexts_alike() -> None:
    with record() as spans:
        nothing = (mqtrace.Context(), mqtrace.current_span(), spans.tracer.extract({}))
        for one in nothing:
            assert (one.trace_id, one.span_id, one.is_valid) == ("0" * 32, "0" * 16, False)
        with spans.tracer.start_span("a") as span:
            for same in (span, mqtrace.Context.of(span)):
                assert (same.trace_id, same.span_id, same.is_valid) == (span.trace_id, span.span_id, True)
                assert {*span.trace_id, *span.span_id} != {"0"}


def test_baggage_is_read_and_set() -> None:
    with record() as spans:
        assert mqtrace.baggage() == {}
        with mqtrace.start_span("a") as above, mqtrace.use(mqtrace.set_baggage("tenant", "acme")):
            assert mqtrace.baggage() == {"tenant": "acme"}
            with mqtrace.use(mqtrace.set_baggage("user-id", "7")):
                assert mqtrace.baggage() == {"tenant": "acme", "user-id": "7"}
                carrier: dict[str, str] = {}
                with mqtrace.start_span("b") as below:
                    spans.tracer.inject(carrier)
            assert mqtrace.baggage() == {"tenant": "acme"}
        assert mqtrace.baggage() == {}
    assert carrier["baggage"] == "tenant=acme,user-id=7"
    assert isinstance(below, mqtrace.Span)
    assert (below.parent_id, below.parent_remote) == (
        above.span_id,
        False,
    )  # the same process's, in a context of its own


def test_a_span_stays_current_where_its_context_is_used_with_other_baggage() -> None:
    with record() as spans:
        with mqtrace.start_span("a") as above:
            with mqtrace.use(mqtrace.set_baggage("tenant", "acme")) as used:
                assert mqtrace.current_span() is above
                assert type(used) is mqtrace.Context
                with mqtrace.use(mqtrace.set_baggage("user-id", "7")):
                    mqtrace.current_span().set_attribute("k", 1)
                    assert pickle.loads(pickle.dumps(mqtrace.set_baggage("x", "y"))) == mqtrace.set_baggage("x", "y")
            assert mqtrace.current_span() is above
            other = spans.tracer.start_span("other")
            with mqtrace.use(mqtrace.Context.of(other)):
                assert mqtrace.current_span().span_id == other.span_id
                mqtrace.current_span().set_attribute("of a context", 1)
        assert above.attributes == {"k": 1}


def test_baggage_that_is_no_text_is_counted() -> None:
    with record() as spans:
        for name, value in (("a", 1), (1, "a"), ("", "a"), (None, None)):
            assert mqtrace.set_baggage(name, value).baggage is None  # type: ignore[arg-type]  # that is the mistake
        assert spans.tracer.stats()["calls_ignored"] == 4


@pytest.mark.usefixtures("default_tracer_restored")
def test_one_warning_says_that_nobody_called_configure(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = mqtrace.wrap(confluent_kafka.Producer({"bootstrap.servers": "x", "log_level": 0}))
    assert caplog.records == []  # a client is wrapped before configure() in many programs
    for _ in range(3):
        wrapped.produce("orders", b"x")
        mqtrace.start_span("a").end()
    assert ["mqtrace.configure" in entry.message for entry in caplog.records] == [True]
    wrapped.purge()
    caplog.clear()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracers.set_default(None)
    mqtrace.start_span("a").end()
    assert caplog.records == []
