"""Celery in one process: publish and run, retries, canvas, eager tasks, and what goes wrong. Workers: tests/broker."""

from __future__ import annotations

import copy
import datetime
import importlib
import itertools
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import celery.contrib.testing.tasks  # type: ignore[import-untyped]  # noqa: F401  # its worker wants the ping task
import pytest
from celery import Celery, chain, chord, group, signals
from celery.app.trace import build_tracer  # type: ignore[import-untyped]  # Celery ships no types
from celery.contrib.testing.worker import start_worker  # type: ignore[import-untyped]  # Celery ships no types
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded  # type: ignore[import-untyped]  # as above
from kombu.exceptions import OperationalError
from opentelemetry.proto.trace.v1 import trace_pb2

import mqtrace
from mqtrace.clients.celery import dispatch, killed_children
from mqtrace.clients.celery.spans import TaskSendSpan
from mqtrace.clients.celery.state import INSTRUMENTATION
from mqtrace.core import Span, encode_span
from mqtrace.testing import Spans, record

# kombu says that it is typed, and most of it is not.
kombu_serialization: Any = importlib.import_module("kombu.serialization")

FOREIGN = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
SEEN: dict[str, Any] = {}


#: Ways to keep a task's request: an audit log's, a queue's, a structured log's.
AUDITS: list[Callable[[Any], Any]] = [
    lambda request: pickle.loads(pickle.dumps(request)).id,
    lambda request: copy.copy(request).id,
    lambda request: copy.deepcopy(request).id,
    lambda request: json.loads(json.dumps(vars(request)))["id"],
    lambda request: kombu_serialization.dumps(vars(request), "json")[0] in ("application/json",),
    lambda request: kombu_serialization.dumps(vars(request), "pickle")[0] in ("application/x-python-serialize",),
    lambda request: kombu_serialization.dumps(vars(request), "yaml")[0] in ("application/x-yaml",),
    lambda request: sorted(vars(request)) == sorted(request.__dict__),
]


def _audited(request: Any, write: Callable[[Any], Any]) -> Any:
    try:
        result = write(request)
    except Exception as error:  # compared with what it is without us
        return type(error)
    return result if isinstance(result, bool) else result == request.id


def _make_app() -> Celery:
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.broker_connection_retry_on_startup = True
    app.conf.broker_transport_options = {"polling_interval": 0.01}

    @app.task(name="shop.add")  # type: ignore[untyped-decorator]
    def add(*numbers: int) -> int:
        SEEN["current"] = mqtrace.current_span()
        SEEN["baggage"] = dict(mqtrace.current_span().baggage or {})
        return sum(numbers)

    @app.task(name="shop.fails")  # type: ignore[untyped-decorator]
    def fails(*_: Any) -> None:
        raise ValueError("no stock")

    @app.task(name="shop.raises")  # type: ignore[untyped-decorator]
    def raises(name: str) -> None:
        raise {
            "ignore": Ignore("not now"),
            "reject": Reject("bad", requeue=False),
            "reject_for": Reject(KeyError("sku"), requeue=False),
            "soft": SoftTimeLimitExceeded(1),
        }[name]

    @app.task(name="shop.again", bind=True, max_retries=5)  # type: ignore[untyped-decorator]
    def again(self: Any, attempts: int) -> str:
        if self.request.retries < attempts:
            raise self.retry(countdown=0, exc=ConnectionError("down"))
        return "done"

    @app.task(name="shop.again_inside", bind=True, max_retries=5)  # type: ignore[untyped-decorator]
    def again_inside(self: Any) -> None:
        with SEEN["tracer"].start_span("inner"):
            if self.request.retries < 1:
                raise self.retry(countdown=0)

    @app.task(name="shop.replaced", bind=True)  # type: ignore[untyped-decorator]
    def replaced(self: Any) -> None:
        raise self.replace(add.s(1, 2))

    @app.task(name="shop.forwards", bind=True)  # type: ignore[untyped-decorator]
    def forwards(self: Any) -> None:
        add.apply_async((1,), headers=self.request.headers)

    @app.task(name="shop.audits", bind=True, max_retries=1)  # type: ignore[untyped-decorator]
    def audits(self: Any, again: bool = False) -> None:
        SEEN["headers"] = self.request.headers
        SEEN["request"] = dict(vars(self.request))
        SEEN["audited"] = [_audited(self.request, write) for write in AUDITS]
        if again and not self.request.retries:
            raise self.retry(countdown=0)

    @app.task(name="shop.on_error")  # type: ignore[untyped-decorator]
    def on_error(task_id: str) -> None:
        pass

    return app


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    made = _make_app()
    with start_worker(made, perform_ping_check=False, pool="solo", loglevel="CRITICAL"):
        yield made


@pytest.fixture(autouse=True)
def instrumented(spans: Spans) -> Iterator[None]:
    SEEN.clear()
    SEEN["tracer"] = spans.tracer
    mqtrace.instrument_celery()
    yield
    mqtrace.uninstrument_celery()


@pytest.fixture
def await_spans(spans: Spans) -> Callable[[int], Spans]:
    """``await_spans(4)``: the spans, once there are so many; a result is there before the task's span has ended."""

    def wait(count: int) -> Spans:
        deadline = time.monotonic() + 10
        while len(spans) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
        assert len(spans) == count, [span.name for span in spans]
        return spans

    return wait


def _runs(spans: Spans) -> list[Span]:
    return [span for span in spans if span.name.startswith("process ")]


def _sends(spans: Spans) -> list[Span]:
    return [span for span in spans if span.name.startswith("send ")]


# ---------------------------------------------------------------------- publish and run


def test_a_task_has_a_send_and_a_process_span_in_one_trace(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    result = app.tasks["shop.add"].delay(1, 2)
    assert result.get(timeout=5) == 3
    spans = await_spans(2)
    (send,) = spans.named("send shop.add")
    (run,) = spans.named("process shop.add")
    assert (send.kind, run.kind) == ("producer", "consumer")
    assert send.parent_id is None
    assert run.parent_id == send.span_id
    assert run.trace_id == send.trace_id
    assert [link.context.span_id for link in run.links] == [send.span_id]
    for span in (send, run):
        assert span.attributes["messaging.system"] == "memory"
        assert span.attributes["messaging.destination.name"] == "celery"
        assert span.attributes["messaging.message.id"] == result.id
        assert span.attributes["messaging.message.conversation_id"] == result.id
        assert span.attributes["celery.task_name"] == "shop.add"
        assert span.attributes["celery.retries"] == 0
    assert send.attributes["messaging.operation.type"] == "send"
    assert run.attributes["messaging.operation.type"] == "process"
    assert run.attributes["celery.state"] == "SUCCESS"
    assert run.status == "unset"
    latency = run.attributes["messaging.message.receive.latency"]
    assert isinstance(latency, float)
    assert 0 <= latency < 5000
    assert not run.trace_state, "the send time lives for one hop"


def test_the_process_span_is_current_while_the_body_runs_and_not_after(
    app: Celery, await_spans: Callable[[int], Spans]
) -> None:
    after: list[Any] = []

    def outside(**_: Any) -> None:
        after.append(mqtrace.current_span().is_recording())

    signals.task_postrun.connect(outside, weak=False, dispatch_uid="outside")
    try:
        app.tasks["shop.add"].delay(1)
        spans = await_spans(2)
    finally:
        signals.task_postrun.disconnect(dispatch_uid="outside")
    assert SEEN["current"] is spans.named("process shop.add")[0]
    assert after == [False]
    assert not mqtrace.current_span().is_recording()


def test_every_way_to_send_a_task_is_traced_below_what_is_current(
    app: Celery, spans: Spans, await_spans: Callable[[int], Spans]
) -> None:
    add = app.tasks["shop.add"]
    with spans.tracer.start_span("web") as web:
        add.delay(1)
        add.apply_async((1,))
        app.send_task("shop.add", (1,))
        add.s(1).apply_async()
        add.s(1).delay()
    await_spans(11)
    assert {span.parent_id for span in _sends(spans)} == {web.span_id}
    assert len({span.parent_id for span in _runs(spans)}) == 5
    assert {span.trace_id for span in spans} == {web.trace_id}


def test_the_queue_is_the_destination(app: Celery, spans: Spans) -> None:
    app.tasks["shop.add"].apply_async((1,), queue="slow lane")
    assert spans[0].attributes["messaging.destination.name"] == "slow lane"


def test_users_headers_stay_as_they_are(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    headers = {"tenant": "acme"}
    app.tasks["shop.add"].apply_async((1,), headers=headers)
    await_spans(2)
    assert headers == {"tenant": "acme"}


def test_a_users_own_traceparent_is_kept_and_linked(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    app.tasks["shop.add"].apply_async((1,), headers={"traceparent": FOREIGN, "tracestate": "theirs=1"})
    spans = await_spans(2)
    (send,), (run,) = _sends(spans), _runs(spans)
    assert send.kind == "client"
    assert [link.context.trace_id for link in send.links] == ["ab" * 16]
    assert (run.trace_id, run.parent_id) == ("ab" * 16, "cd" * 8)
    assert run.trace_state == "theirs=1"
    assert "messaging.message.receive.latency" not in run.attributes


@pytest.mark.parametrize("bad", [7, b"\xff", ["x"], {"a": 1}, "nonsense", None])
def test_a_malformed_traceparent_is_counted_and_the_task_runs(
    app: Celery, spans: Spans, await_spans: Callable[[int], Spans], bad: Any
) -> None:
    mqtrace.uninstrument_celery()
    signals.task_prerun.connect(
        lambda task, **_: vars(task.request).update(traceparent=bad), weak=False, dispatch_uid="bad"
    )
    mqtrace.instrument_celery()  # after it, so that it sees the bad one
    try:
        assert app.tasks["shop.add"].delay(1).get(timeout=5) == 1
        await_spans(2)
    finally:
        signals.task_prerun.disconnect(dispatch_uid="bad")
    assert _runs(spans)[0].parent_id is None
    assert spans.tracer.stats()["contexts_malformed"] == 1


def test_baggage_reaches_the_task(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    with mqtrace.use(mqtrace.Context().with_baggage(tenant="acme")):
        app.tasks["shop.add"].delay(1)
    await_spans(2)
    assert SEEN["baggage"] == {"tenant": "acme"}


def test_a_trace_that_is_not_sampled_makes_no_span_and_goes_on(app: Celery, spans: Spans) -> None:
    unsampled = mqtrace.Context(b"00-" + b"11" * 16 + b"-" + b"22" * 8 + b"-00")
    with mqtrace.use(unsampled):
        assert app.tasks["shop.add"].delay(1).get(timeout=5) == 1
    deadline = time.monotonic() + 5
    while "current" not in SEEN and time.monotonic() < deadline:
        time.sleep(0.005)
    assert SEEN["current"].trace_id == "11" * 16
    assert not SEEN["current"].is_recording()
    assert spans == []


def test_headers_that_a_task_hands_on_do_not_carry_its_own_context(
    app: Celery, await_spans: Callable[[int], Spans]
) -> None:
    app.tasks["shop.forwards"].delay()
    spans = await_spans(4)
    (forwards,) = spans.named("process shop.forwards")
    (send,) = spans.named("send shop.add")
    (run,) = spans.named("process shop.add")
    assert (send.parent_id, send.kind) == (forwards.span_id, "producer")
    assert run.parent_id == send.span_id


def _run_audit(app: Celery, how: str) -> dict[str, Any]:
    SEEN.pop("audited", None)
    task = app.tasks["shop.audits"]
    if how == "eager":
        task.apply()
    elif how == "unsampled":
        with mqtrace.use(mqtrace.Context(b"00-" + b"11" * 16 + b"-" + b"22" * 8 + b"-00")):
            task.delay()
    else:
        task.delay()
    deadline = time.monotonic() + 5
    while "audited" not in SEEN and time.monotonic() < deadline:
        time.sleep(0.005)
    return dict(SEEN)


@pytest.mark.parametrize("how", ["sampled", "unsampled", "eager"])
def test_a_request_can_be_pickled_copied_and_written_as_without_us(app: Celery, spans: Spans, how: str) -> None:
    traced = _run_audit(app, how)
    mqtrace.uninstrument_celery()
    bare = _run_audit(app, how)
    assert traced["audited"] == bare["audited"]
    assert traced["audited"].count(True) >= 6
    further = {"sampled": {"traceparent", "tracestate"}, "unsampled": {"traceparent"}, "eager": set()}[how]
    assert set(traced["request"]) - set(bare["request"]) == further
    for name in further:
        assert type(traced["request"][name]) is str


@pytest.mark.parametrize("task", ["shop.add", "shop.fails", "shop.again", "shop.again_inside"])
def test_an_attempt_is_forgotten_when_it_ends(app: Celery, spans: Spans, task: str) -> None:
    for sampled in ("01", "00"):
        with mqtrace.use(mqtrace.Context(b"00-" + b"11" * 16 + b"-" + b"22" * 8 + b"-" + sampled.encode())):
            app.tasks[task].apply((1,) * (task == "shop.again"))
    assert not INSTRUMENTATION.running


def test_the_headers_that_a_task_sees(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    """docs/celery.md, "What a task sees"."""
    app.tasks["shop.audits"].apply_async((True,), headers={"tenant": "a"})
    await_spans(4)
    assert set(SEEN["headers"]) == {"tenant", "traceparent", "tracestate", "mqtrace-previous"}
    app.tasks["shop.audits"].delay()
    spans = await_spans(6)
    assert set(SEEN["headers"]) == {"traceparent", "tracestate"}
    assert SEEN["headers"]["traceparent"][36:52] == spans.named("send shop.audits")[-1].span_id
    with mqtrace.use(mqtrace.Context(baggage={"tenant": "a"})):
        app.tasks["shop.audits"].delay()
    await_spans(8)
    assert SEEN["headers"]["baggage"] == "tenant=a"


@pytest.mark.parametrize("again", [False, True])
def test_without_propagators_a_task_sees_no_header_of_ours(app: Celery, again: bool) -> None:
    with record("shop", propagators="none") as spans:
        app.tasks["shop.audits"].apply_async((again,), headers={"tracestate": "mqtrace=t:1700000000000"})
        deadline = time.monotonic() + 5
        while len(spans) < 2 + 2 * again and time.monotonic() < deadline:
            time.sleep(0.005)
    assert SEEN["headers"] == {"tracestate": "mqtrace=t:1700000000000"}


@pytest.mark.parametrize("headers", [None, {"tenant": "a"}])
def test_the_name_of_an_attempt_is_not_shown_to_its_task(
    app: Celery, await_spans: Callable[[int], Spans], monkeypatch: pytest.MonkeyPatch, headers: Any
) -> None:
    """It travels from the main process of a prefork pool to a child in what becomes the task's request."""
    monkeypatch.setattr(INSTRUMENTATION, "in_pool_child", True)
    dispatch.connect(signals.task_received, killed_children.received)
    app.tasks["shop.audits"].apply_async(headers=headers)
    await_spans(2)
    assert "mqtrace-attempt" not in SEEN["request"]
    assert set(SEEN["headers"]) == {"traceparent", "tracestate", *(headers or ())}


@pytest.mark.parametrize("propagators", ["b3", "datadog,tracecontext"])
def test_other_formats_carry_the_trace_too(app: Celery, propagators: str) -> None:
    from mqtrace.testing import record

    with record("shop", propagators=propagators) as spans:
        app.tasks["shop.again"].delay(1).get(timeout=5)
        time.sleep(0.05)
    first, second = sorted(_runs(spans), key=lambda span: span.start_time)
    assert first.parent_id == second.parent_id == spans.named("send shop.again")[0].span_id


def test_protocol_1_is_traced_too(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    publisher = Celery("old", broker="memory://", set_as_current=False)
    publisher.conf.task_protocol = 1
    publisher.send_task("shop.add", (1,))
    spans = await_spans(2)
    (send,), (run,) = _sends(spans), _runs(spans)
    assert run.parent_id == send.span_id
    assert send.attributes["messaging.message.id"] == run.attributes["messaging.message.id"]


# ---------------------------------------------------------------------- time


def test_a_countdown_is_an_attribute_and_no_time_in_the_queue(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    app.tasks["shop.add"].apply_async((1,), countdown=1.2)
    spans = await_spans(2)
    (send,), (run,) = _sends(spans), _runs(spans)
    assert send.attributes["mqtrace.delay"] == 1.2
    # a worker knows when the task is due and when it was sent: on a busy machine that is less than what was asked for
    delay = run.attributes["mqtrace.delay"]
    assert isinstance(delay, float)
    assert 0.7 < delay <= 1.2
    assert run.start_time - send.start_time >= 0.7e9
    latency = run.attributes["messaging.message.receive.latency"]
    assert isinstance(latency, float)
    assert latency < 1000


def test_a_countdown_is_what_was_asked_for_however_long_the_publish_took(
    app: Celery, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = app.amqp.create_task_message

    def create_slowly(*args: object, **kwargs: object) -> object:
        message = create(*args, **kwargs)
        time.sleep(0.1)
        return message

    monkeypatch.setitem(app.amqp.__dict__, "create_task_message", create_slowly)
    app.tasks["shop.add"].apply_async((1,), countdown=30, queue="nobody reads it")
    assert spans.named("send shop.add")[0].attributes["mqtrace.delay"] == 30.0


def test_an_eta_is_a_delay_too_with_a_time_zone_and_without(app: Celery, spans: Spans) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    for eta in (soon, soon.replace(tzinfo=None)):
        app.tasks["shop.add"].apply_async((1,), eta=eta, queue="nobody reads it")
    for span in spans:
        delay = span.attributes["mqtrace.delay"]
        assert isinstance(delay, float)
        assert 29 < delay <= 30


def test_a_message_from_the_future_waited_for_nothing(
    app: Celery, spans: Spans, await_spans: Callable[[int], Spans]
) -> None:
    ahead = int(time.time() * 1000) + 60_000
    mqtrace.uninstrument_celery()
    headers = {"traceparent": FOREIGN, "tracestate": f"mqtrace=t:{ahead},theirs=1"}
    app.tasks["shop.add"].apply_async((1,), headers=headers, countdown=0.5)
    mqtrace.instrument_celery()
    (run,) = await_spans(1)
    assert run.attributes["messaging.message.receive.latency"] == 0.0
    assert run.trace_state == "theirs=1"
    assert spans.tracer.stats()["clock_skew"] == 1


# ---------------------------------------------------------------------- ends


def test_a_failure_is_on_the_span(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    app.tasks["shop.fails"].delay()
    (run,) = _runs(await_spans(2))
    assert run.attributes["celery.state"] == "FAILURE"
    assert run.attributes["error.type"] == "ValueError"
    assert (run.status, run.status_description) == ("error", "no stock")
    assert run.events[0].attributes["exception.message"] == "no stock"


@pytest.mark.parametrize(
    ("name", "state", "status", "error"),
    [
        ("ignore", "IGNORED", "unset", None),
        ("reject", "REJECTED", "unset", None),
        ("reject_for", "REJECTED", "error", "KeyError"),
        ("soft", "FAILURE", "error", "billiard.exceptions.SoftTimeLimitExceeded"),
    ],
)
def test_what_a_task_raises_for_celery_is_its_outcome(
    app: Celery, await_spans: Callable[[int], Spans], name: str, state: str, status: str, error: str | None
) -> None:
    app.tasks["shop.raises"].delay(name)
    (run,) = _runs(await_spans(2))
    assert run.attributes["celery.state"] == state
    assert run.status == status
    assert run.attributes.get("error.type") == error
    assert run.attributes.get("mqtrace.outcome") == ("reject" if state == "REJECTED" else None)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_base_exception_passes_through_an_eager_task_unchanged(
    app: Celery, spans: Spans, error: BaseException
) -> None:
    local = Celery("local", set_as_current=False)

    @local.task(name=f"local.leave_by_{type(error).__name__}")  # type: ignore[untyped-decorator]
    def leave() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        leave.apply()
    assert raised.value is error
    assert spans[0].attributes["celery.state"] == "FAILURE"
    assert spans[0].attributes["error.type"] == type(error).__name__
    assert not mqtrace.current_span().is_recording()


def test_an_unknown_task_has_a_span_that_says_so(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    app.send_task("no.such")
    spans = await_spans(2)
    (send,), (run,) = _sends(spans), _runs(spans)
    assert (run.name, run.parent_id, run.status) == ("process no.such", send.span_id, "error")
    assert run.attributes["error.type"] == "celery.exceptions.NotRegistered"


def test_an_expired_task_has_a_span_that_says_so(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    app.tasks["shop.add"].apply_async((1,), expires=-1)
    spans = await_spans(2)
    (send,), (run,) = _sends(spans), _runs(spans)
    assert run.parent_id == send.span_id
    assert run.attributes["celery.state"] == "REVOKED"
    assert run.attributes["mqtrace.revoked"] == "expired"
    assert run.status == "error"


def test_a_revoked_task_has_a_span_that_says_so(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    from celery.worker import state  # type: ignore[import-untyped]  # as above

    state.revoked.add("known-id")
    try:
        app.tasks["shop.add"].apply_async((1,), task_id="known-id")
        (run,) = _runs(await_spans(2))
    finally:
        state.revoked.discard("known-id")
    assert run.attributes["celery.state"] == "REVOKED"
    assert run.attributes["mqtrace.revoked"] == "revoked"
    assert run.status == "unset"


def test_a_message_that_is_no_task_has_a_span_that_says_so(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    with app.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish({"hello": "there"}, exchange="", routing_key="celery", headers={"traceparent": FOREIGN})
    (run,) = await_spans(1)
    assert run.trace_id == "ab" * 16
    assert run.attributes["celery.state"] == "REJECTED"
    assert run.status == "error"


def test_what_fails_outside_of_the_body_has_one_span_with_the_error(app: Celery, spans: Spans) -> None:
    local = Celery("local", set_as_current=False)

    @local.task(name="local.fine")  # type: ignore[untyped-decorator]
    def fine() -> None:
        pass

    with pytest.raises(Exception, match="not a mapping"):
        fine.apply(kwargs=["not", "a", "mapping"])
    (run,) = spans
    assert run.attributes["celery.state"] == "FAILURE"
    assert run.status == "error"


# ---------------------------------------------------------------------- retries


def test_retries_are_siblings_below_the_first_send_each_linked_to_the_attempt_before(
    app: Celery, await_spans: Callable[[int], Spans]
) -> None:
    """FAULTS 13."""
    assert app.tasks["shop.again"].delay(3).get(timeout=10) == "done"
    spans = await_spans(8)
    runs = sorted(_runs(spans), key=lambda span: span.start_time)
    first, *resent = sorted(_sends(spans), key=lambda span: span.start_time)
    assert [run.parent_id for run in runs] == [first.span_id] * 4
    assert [run.attributes["celery.retries"] for run in runs] == [0, 1, 2, 3]
    assert [run.attributes.get("messaging.message.retry.count") for run in runs] == [None, 1, 2, 3]
    assert [run.attributes["celery.state"] for run in runs] == ["RETRY"] * 3 + ["SUCCESS"]
    for before, run in itertools.pairwise(runs):
        assert [link.context.span_id for link in run.links] == [first.span_id, before.span_id]
    # each was sent by the attempt before, and carries the first one's context
    assert [send.parent_id for send in resent] == [run.span_id for run in runs[:3]]
    assert {send.kind for send in resent} == {"client"}
    assert runs[0].status == "unset"
    assert runs[0].events[0].attributes["exception.type"] == "ConnectionError"
    for run in runs[1:]:
        latency = run.attributes["messaging.message.receive.latency"]
        assert isinstance(latency, float)
        assert latency < 1000, "the send time is the retry's own"


def test_retries_keep_a_users_own_traceparent(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    app.tasks["shop.again"].apply_async((2,), headers={"traceparent": FOREIGN, "tracestate": "theirs=1"})
    runs = _runs(await_spans(6))
    assert {(run.trace_id, run.parent_id, run.trace_state) for run in runs} == {("ab" * 16, "cd" * 8, "theirs=1")}


def test_retries_of_a_message_without_a_context_do_not_nest(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    mqtrace.uninstrument_celery()
    app.tasks["shop.again"].apply_async((3,), countdown=0.5)
    mqtrace.instrument_celery()
    runs = sorted(_runs(await_spans(7)), key=lambda span: span.start_time)
    assert runs[0].parent_id is None
    assert {run.parent_id for run in runs[1:]} == {runs[0].span_id}


def test_a_retry_from_within_a_span_of_the_users_own_is_a_sibling_all_the_same(
    app: Celery, await_spans: Callable[[int], Spans]
) -> None:
    app.tasks["shop.again_inside"].delay()
    spans = await_spans(6)
    assert len({run.parent_id for run in _runs(spans)}) == 1
    resent = max(_sends(spans), key=lambda span: span.start_time)
    assert resent.parent_id == min(spans.named("inner"), key=lambda span: span.start_time).span_id


# ---------------------------------------------------------------------- canvas


def test_a_chain_is_one_trace_each_task_below_the_one_before(
    app: Celery, spans: Spans, await_spans: Callable[[int], Spans]
) -> None:
    add = app.tasks["shop.add"]
    with spans.tracer.start_span("web") as web:
        chain(add.s(1), add.s(2), add.s(3))()
    await_spans(7)
    above = {span.span_id: span for span in spans}
    depths = sorted(_depth(above, run) for run in _runs(spans))
    assert depths == [2, 4, 6]
    assert {span.trace_id for span in spans} == {web.trace_id}


def _depth(above: dict[str, Span], span: Span) -> int:
    return 0 if span.parent_id is None else 1 + _depth(above, above[span.parent_id])


@pytest.mark.parametrize("shape", ["group", "chord", "chunks", "map", "link", "link_error", "replace"])
def test_canvas_is_one_trace(app: Celery, spans: Spans, await_spans: Callable[[int], Spans], shape: str) -> None:
    add = app.tasks["shop.add"]
    count, last = {
        "group": (5, "send shop.add"),
        "chord": (7, "process shop.add"),
        "chunks": (5, "send celery.starmap"),
        "map": (3, "send celery.starmap"),
        "link": (5, "process shop.add"),
        "link_error": (5, "process shop.fails"),
        "replace": (5, "process shop.replaced"),
    }[shape]
    with spans.tracer.start_span("web") as web:
        if shape == "group":
            group(add.s(1), add.s(2))()
        elif shape == "chord":
            chord([add.s(1), add.s(2)], add.si(3))()
        elif shape == "chunks":
            add.chunks([(1, 2), (3, 4)], 1)()
        elif shape == "map":
            add.starmap([(1, 2), (3, 4)]).delay()
        elif shape == "link":
            add.apply_async((1,), link=add.s(2))
        elif shape == "link_error":
            app.tasks["shop.fails"].apply_async(link_error=app.tasks["shop.on_error"].si("x"))
        else:
            app.tasks["shop.replaced"].delay()
    await_spans(count)
    assert {span.trace_id for span in spans} == {web.trace_id}
    above = {span.span_id: span for span in spans}
    deepest = max(_runs(spans), key=lambda span: _depth(above, span))
    assert deepest.parent_id is not None
    caused_by = above[deepest.parent_id]
    assert last in (caused_by.name, above[caused_by.parent_id or ""].name)


# ---------------------------------------------------------------------- eager


def test_an_eager_task_is_a_child_of_its_caller(spans: Spans) -> None:
    local = Celery("local", set_as_current=False)
    local.conf.task_always_eager = True

    @local.task(name="local.work")  # type: ignore[untyped-decorator]
    def work() -> str:
        return mqtrace.current_span().span_id

    with spans.tracer.start_span("web") as web:
        try:
            raise LookupError("handled by the caller, none of the task's")
        except LookupError:
            inside = work.delay().get()
        assert mqtrace.current_span() is web
    (run,) = spans.named("process local.work")
    assert run.span_id == inside
    assert run.parent_id == web.span_id
    assert run.attributes["celery.state"] == "SUCCESS"
    assert run.status == "unset"


def test_eager_retries_are_siblings_and_linked(spans: Spans) -> None:
    local = Celery("local", set_as_current=False)
    local.conf.task_always_eager = True

    @local.task(name="local.again", bind=True)  # type: ignore[untyped-decorator]
    def again(self: Any) -> None:
        if self.request.retries < 2:
            raise self.retry(countdown=0)

    with spans.tracer.start_span("web") as web:
        again.delay()
    runs = spans.named("process local.again")
    assert [run.parent_id for run in runs] == [web.span_id] * 3
    assert [run.attributes["celery.retries"] for run in runs] == [0, 1, 2]
    assert [link.context.span_id for link in runs[1].links] == [runs[0].span_id]
    assert [link.context.span_id for link in runs[2].links] == [runs[1].span_id]


# ---------------------------------------------------------------------- publishing fails


def test_a_failed_publish_ends_its_span_with_the_error_and_nothing_stays_current(spans: Spans) -> None:
    broken = Celery("broken", broker="redis://127.0.0.1:1/0", set_as_current=False)
    broken.conf.task_publish_retry = False

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("refused")

    with broken.producer_pool.acquire() as producer:
        producer.publish = refuse  # the broker says no after the span has begun
        with spans.tracer.start_span("web") as web:
            with pytest.raises(OperationalError):
                broken.send_task("shop.add", producer=producer, ignore_result=True)
            assert mqtrace.current_span() is web
    send = spans.named("send shop.add")[0]
    assert send.status == "error"
    assert send.attributes["error.type"] == "kombu.exceptions.OperationalError", "what the caller was given"
    assert send.attributes["server.port"] == 1
    assert spans.tracer.start_span("later").parent_id is None


def test_a_tasks_spans_are_encoded_as_they_read(app: Celery, await_spans: Callable[[int], Spans]) -> None:
    """The short way of the encoder, against protobuf's own reader."""
    app.tasks["shop.add"].apply_async((1,), countdown=0.01)
    app.tasks["shop.add"].apply_async((1,), task_id="straße " + "x" * 200)
    for span in await_spans(4):
        read = trace_pb2.Span.FromString(encode_span(span))
        values = {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in read.attributes}
        assert values == pytest.approx(dict(span.attributes))
        assert len(read.attributes) == len(values)
        assert read.parent_span_id.hex() == (span.parent_id or "")
        assert [link.span_id.hex() for link in read.links] == [link.context.span_id for link in span.links]


def _down(broker: str, **settings: Any) -> Celery:
    """An app whose broker is not there, and that does not wait for it."""
    app = Celery("down", broker=broker, set_as_current=False, **settings)
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    return app


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_publish_to_a_broker_that_is_not_there_ends_its_span_with_the_error(spans: Spans, broker: str) -> None:
    down = _down(broker)
    with spans.tracer.start_span("web") as web:
        with pytest.raises(OperationalError):
            down.send_task("shop.add", retry=False)
        assert mqtrace.current_span() is web
    (send, _) = spans
    assert (send.name, send.status, send.parent_id) == ("send shop.add", "error", web.span_id)
    assert send.attributes["error.type"] == "kombu.exceptions.OperationalError"


def test_an_interrupt_after_the_publish_returned_loses_no_span(app: Celery, spans: Spans, interrupt_end: Any) -> None:
    """Beat's handler of SIGTERM raises SystemExit wherever it arrives."""
    interrupt_end(TaskSendSpan)
    with pytest.raises(KeyboardInterrupt):
        app.send_task("shop.add", queue="nobody-reads-it")
    assert [span.attributes["error.type"] for span in _sends(spans)] == ["KeyboardInterrupt"]


def test_a_publish_that_fails_before_there_is_a_message_has_a_span_too(spans: Spans) -> None:
    down = _down("amqp://127.0.0.1:1//", backend="rpc://")
    with spans.tracer.start_span("web") as web:
        with pytest.raises(OperationalError):  # the result queue is declared first
            down.send_task("shop.add", task_id="known-id")
        assert mqtrace.current_span() is web
    (send, _) = spans
    assert (send.name, send.status, send.parent_id) == ("send shop.add", "error", web.span_id)
    assert send.attributes["error.type"] == "kombu.exceptions.OperationalError"
    assert send.attributes["messaging.system"] == "rabbitmq"
    assert send.attributes["messaging.message.id"] == "known-id"
    assert "messaging.destination.name" not in send.attributes


def test_a_transport_that_does_not_exist_fails_as_without_us(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt broker: nothing of Celery's signals is sent, and the configuration does not say which broker it is."""
    misspelt = Celery("shop", broker="ampq://guest:guest@localhost//", set_as_current=False)
    with pytest.raises(KeyError):
        misspelt.send_task("shop.add", retry=False)
    (send,) = spans
    assert (send.name, send.status, send.attributes["error.type"]) == ("send shop.add", "error", "KeyError")
    assert "messaging.system" not in send.attributes
    assert "server.address" not in send.attributes
    assert not [record for record in caplog.records if record.name == "mqtrace"]
    misspelt.conf.broker_url = "memory://"
    misspelt.send_task("shop.add", queue="nobody-reads-it")
    assert spans[1].attributes["messaging.system"] == "memory"


WITHOUT_REDIS = """
import logging, sys
sys.modules["redis"] = None  # as where the package is missing
from celery import Celery
from mqtrace.testing import record

logging.basicConfig(stream=sys.stdout)
app = Celery("shop", broker="redis://:secret@127.0.0.1:1/0", set_as_current=False)
with record("shop") as spans:
    if sys.argv[1] == "traced":
        spans.tracer.instrument_celery(app)
    try:
        app.send_task("shop.add", retry=False)
    except Exception as error:
        print(type(error).__name__, error)
for span in spans:
    print(span.name, span.status, span.attributes["error.type"], "secret" in str(span.attributes))
"""


def test_a_transport_whose_package_is_missing_fails_as_without_us() -> None:
    def said(how: str) -> list[str]:
        command = [sys.executable, "-c", WITHOUT_REDIS, how]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    (error,) = said("bare")
    assert said("traced") == [error, f"send shop.add error {error.split()[0]} False"]


def test_a_publish_of_a_trace_that_is_not_sampled_fails_without_a_span(spans: Spans) -> None:
    down = _down("amqp://127.0.0.1:1//")
    never = _down("amqp://127.0.0.1:1//", backend="rpc://")
    with mqtrace.use(mqtrace.Context(b"00-" + b"11" * 16 + b"-" + b"22" * 8 + b"-00")):
        for app in (down, never):
            with pytest.raises(OperationalError):
                app.send_task("shop.add", retry=False)
    assert spans == []


def test_what_is_raised_after_the_message_was_sent_asks_no_sampler_again(app: Celery) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no result of this class")

    class InTurn:
        asked = 0

        def sample(self, *_: Any, **__: Any) -> bool:
            self.asked += 1
            return self.asked > 1

    sampler = InTurn()
    with record(sampler=sampler) as spans, pytest.raises(RuntimeError):
        app.send_task("shop.add", result_cls=refuse, queue="nobody-reads-it")
    assert _sends(spans) == []
    assert sampler.asked == 1


def test_a_message_that_is_sent_past_send_task_is_traced(
    app: Celery, spans: Spans, await_spans: Callable[[int], Spans]
) -> None:
    app.set_current()
    with app.producer_pool.acquire() as producer:
        message = app.amqp.create_task_message("known-id", "shop.add", (1,))
        app.amqp.send_task_message(producer, "shop.add", message)
    (send,), (run,) = _sends(await_spans(2)), _runs(spans)
    assert run.parent_id == send.span_id
    assert send.attributes["messaging.system"] == "memory"


@pytest.mark.parametrize("flags", ["02", "03"])
def test_a_span_that_a_task_left_open_does_not_stay_current(app: Celery, spans: Spans, flags: str) -> None:
    @app.task(name="shop.leaves_open", shared=False)  # type: ignore[untyped-decorator]
    def leaves_open() -> None:
        spans.tracer.start_span("left open").__enter__()

    task = app.tasks["shop.leaves_open"]
    run = build_tracer(task.name, task, app=app)
    run("1", (), {}, {"id": "1", "delivery_info": {}, "ignore_result": True, "traceparent": FOREIGN[:-2] + flags})
    assert mqtrace.current_span().trace_id == "0" * 32


# ---------------------------------------------------------------------- instrument and uninstrument


def test_instrumenting_twice_is_once_and_uninstrumenting_takes_all_of_it_away(
    app: Celery, spans: Spans, await_spans: Callable[[int], Spans]
) -> None:
    mqtrace.uninstrument_celery()
    before = (
        Celery.send_task,
        [list(getattr(signals, name).receivers) for name in signals.__all__ if name != "eventlet_pool_started"],
    )
    mqtrace.instrument_celery()
    mqtrace.instrument_celery()
    app.tasks["shop.add"].delay(1)
    await_spans(2)
    mqtrace.uninstrument_celery()
    mqtrace.uninstrument_celery()
    after = (
        Celery.send_task,
        [list(getattr(signals, name).receivers) for name in signals.__all__ if name != "eventlet_pool_started"],
    )
    assert after == before
    app.tasks["shop.add"].delay(1).get(timeout=5)
    assert len(spans) == 2


def test_instrument_celery_traces_the_tasks_of_its_app_alone(app: Celery, spans: Spans) -> None:
    mqtrace.uninstrument_celery()
    ours = Celery("ours", broker="memory://", set_as_current=False)
    theirs = Celery("theirs", broker="memory://", set_as_current=False)
    mqtrace.instrument_celery(ours)
    for each in (ours, theirs):
        each.send_task(f"{each.main}.work", queue="nobody reads it")
    assert [span.name for span in spans] == ["send ours.work"]


def test_another_tracer_may_make_the_spans(app: Celery, spans: Spans) -> None:
    from mqtrace.testing import record

    with record("other") as others:
        tracer = others.tracer
    mqtrace.instrument_celery(app, tracer=tracer)
    app.send_task("shop.unread", queue="nobody reads it")
    assert [span.service for span in others] == ["other"]
    assert spans == []


def test_a_tracer_takes_away_its_own_and_no_other_ones(app: Celery, spans: Spans) -> None:
    ours = Celery("ours", broker="memory://", set_as_current=False)
    with record("other") as others:
        other = others.tracer
    other.instrument_celery(ours)
    third = mqtrace.Tracer("third", exporter="memory:")
    third.uninstrument_celery()
    ours.send_task("ours.work", queue="nobody reads it")
    assert [span.service for span in others] == ["other"]
    other.uninstrument_celery()
    ours.send_task("ours.work", queue="nobody reads it")
    assert (len(others), [span.service for span in spans]) == (1, ["shop"])
    before = Celery.send_task
    spans.tracer.uninstrument_celery()  # the default tracer, whose spans instrument_celery() without a tracer asks for
    ours.send_task("ours.work", queue="nobody reads it")
    assert (len(others), len(spans)) == (1, 1)
    assert Celery.send_task is not before
    third.shutdown()


def test_a_wrong_argument_says_what_to_write() -> None:
    with pytest.raises(mqtrace.ConfigurationError, match="write flush_timeout="):
        mqtrace.instrument_celery(flush=1)
    with pytest.raises(mqtrace.ConfigurationError, match="write seconds"):
        mqtrace.instrument_celery(flush_timeout="soon")
    with pytest.raises(mqtrace.ConfigurationError, match="is not a Celery app"):
        mqtrace.instrument_celery(SimpleNamespace(main="shop"))


def test_threads_do_not_mix_contexts(spans: Spans, await_spans: Callable[[int], Spans]) -> None:
    threaded = Celery("threaded", broker="memory://", backend="cache+memory://", set_as_current=False)
    threaded.conf.broker_transport_options = {"polling_interval": 0.01}
    threaded.conf.task_default_queue = "threaded"  # the other app's worker reads this process's queue celery

    @threaded.task(name="threaded.outer")  # type: ignore[untyped-decorator]
    def outer() -> None:
        time.sleep(0.02)
        inner.delay(mqtrace.current_span().span_id)

    @threaded.task(name="threaded.inner")  # type: ignore[untyped-decorator]
    def inner(caller: str) -> None:
        mqtrace.current_span().set_attribute("caller", caller)

    with start_worker(threaded, perform_ping_check=False, pool="threads", concurrency=4, loglevel="CRITICAL"):
        for _ in range(12):
            outer.delay()
        await_spans(48)
    above = {span.span_id: span for span in spans}
    for run in spans.named("process threaded.inner"):
        assert above[run.parent_id or ""].parent_id == run.attributes["caller"]


def test_a_task_that_runs_while_it_is_uninstrumented_ends_its_span_and_leaves_nothing_current(spans: Spans) -> None:
    local = Celery("local", broker="memory://", set_as_current=False)

    @local.task(name="shop.stops_tracing")  # type: ignore[untyped-decorator]
    def stops_tracing() -> None:
        mqtrace.uninstrument_celery()

    mqtrace.instrument_celery(local)
    try:
        stops_tracing.apply()
        assert not mqtrace.current_span().is_recording()
        assert mqtrace.current_span().trace_id == "0" * 32
        assert [span.name for span in spans] == ["process shop.stops_tracing"]
        mqtrace.instrument_celery(local)
    finally:
        mqtrace.uninstrument_celery()
