"""An application of Flask, SQLAlchemy and requests, instrumented by OpenTelemetry, with Kafka and Celery: one trace."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import confluent_kafka
import pytest
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mqtrace
from mqtrace import core
from mqtrace import tracer as tracers
from mqtrace.otel.exporters import ProviderExporter

celery: Any = pytest.importorskip("celery")
flask: Any = pytest.importorskip("flask")
requests: Any = pytest.importorskip("requests")
sqlalchemy: Any = pytest.importorskip("sqlalchemy")
flask_instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.flask")
requests_instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.requests")
sqlalchemy_instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.sqlalchemy")
celery_instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.celery")
workers: Any = pytest.importorskip("celery.contrib.testing.worker")
pytest.importorskip("celery.contrib.testing.tasks")

TREE = {
    ("POST /order", None): 1,
    ("INSERT", "POST /order"): 1,
    ("GET", "POST /order"): 1,
    ("send orders", "POST /order"): 1,
    ("process orders", "send orders"): 1,
    ("INSERT", "process orders"): 1,
    ("send charge", "POST /order"): 1,
    ("process charge", "send charge"): 1,
    ("INSERT", "process charge"): 1,
}


class Bank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def bank() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Bank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def theirs() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=[True, False], ids=["sampled", "not sampled"])
def sampled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def provider(theirs: InMemorySpanExporter, sampled: bool) -> TracerProvider:
    made = TracerProvider(sampler=sampling.DEFAULT_ON if sampled else sampling.ALWAYS_OFF)
    made.add_span_processor(SimpleSpanProcessor(theirs))
    return made


@pytest.fixture(params=["through their provider", "through an exporter of ours"])
def configured(request: pytest.FixtureRequest, provider: TracerProvider, theirs: InMemorySpanExporter) -> Iterator[Any]:
    before = tracers.default()
    exporter = ProviderExporter(lambda: provider) if request.param == "through their provider" else theirs
    made = mqtrace.configure("shop", exporter=exporter)
    yield made
    made.shutdown(5)
    tracers.set_default(before)


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[Any]:
    """The engine and the Flask application, and everything else that theirs instruments."""
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.pool.StaticPool, connect_args={"check_same_thread": False}
    )
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE done (what TEXT)"))
    app = flask.Flask("shop")
    instrumentors = [
        requests_instrumentation.RequestsInstrumentor(),
        celery_instrumentation.CeleryInstrumentor(),
        sqlalchemy_instrumentation.SQLAlchemyInstrumentor(),
    ]
    for instrumentor in instrumentors[:2]:
        instrumentor.instrument(tracer_provider=provider)
    instrumentors[2].instrument(engine=engine, tracer_provider=provider)
    flask_instrumentation.FlaskInstrumentor.instrument_app(app, tracer_provider=provider)
    yield engine, app
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def test_one_trace_and_every_parent(
    configured: Any, instrumented: Any, theirs: InMemorySpanExporter, sampled: bool, bank: str
) -> None:
    engine, app = instrumented
    tasks = celery.Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    tasks.conf.task_default_queue = uuid.uuid4().hex
    mqtrace.instrument_celery(tasks)

    charged = threading.Event()

    def note(what: str) -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO done VALUES (:what)"), {"what": what})

    def done() -> list[str]:
        with engine.begin() as connection:
            return [row[0] for row in connection.execute(sqlalchemy.text("SELECT what FROM done"))]

    @tasks.task(name="charge", shared=False)  # type: ignore[untyped-decorator,unused-ignore]  # Celery has no types
    def charge() -> None:
        note("charged")
        charged.set()

    mock: dict[str, Any] = {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0}
    producer = mqtrace.wrap(confluent_kafka.Producer(mock))
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))

    @app.post("/order")  # type: ignore[untyped-decorator,unused-ignore]  # as above
    def order() -> str:
        note("ordered")
        requests.get(bank, timeout=5)
        producer.produce("orders", b"1")
        charge.delay()
        return "ok"

    @mqtrace.consumer
    def cook(message: Any) -> None:
        note("cooked")

    try:
        assert app.test_client().post("/order").status_code == 200
        producer.flush(5)
        settings = {
            "bootstrap.servers": f"{broker.host}:{broker.port}",
            "group.id": "kitchen",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
        consumer = mqtrace.wrap(confluent_kafka.Consumer(settings))
        consumer.subscribe(["orders"])
        message = consumer.poll(20)
        assert message is not None
        cook(message)
        consumer.close()
        with workers.start_worker(tasks, perform_ping_check=False, pool="solo", loglevel="ERROR"):
            assert charged.wait(20)  # and no look at the table meanwhile: all threads have one connection to it
        configured.flush(5)
    finally:
        mqtrace.uninstrument_celery()
    assert done() == ["ordered", "cooked", "charged"]
    assert core.current_frame() is None

    spans: Any = theirs.get_finished_spans()
    root = [span for span in spans if span.name == "POST /order"]
    if not sampled:
        assert spans == ()
        return
    trace_id = root[0].context.trace_id
    mine = [span for span in spans if span.context.trace_id == trace_id and span.name != "connect"]
    names = {span.context.span_id: span.name for span in mine}
    tree: dict[tuple[str, str | None], int] = {}
    for span in mine:
        parent = None if span.parent is None else names.get(span.parent.span_id, "missing")
        tree[span.name, parent] = tree.get((span.name, parent), 0) + 1
    assert tree == TREE
