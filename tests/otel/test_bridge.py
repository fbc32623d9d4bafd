"""mqtrace and OpenTelemetry agree on what is current, whichever made it so last."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, TraceState

import mqtrace
from mqtrace import core
from mqtrace.otel import bridge
from mqtrace.testing import Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
HEADERS = [("traceparent", f"00-{TRACE}-{PARENT}-03".encode())]
REMOTE = SpanContext(0xA1, 0xB2, True, TraceFlags(1), TraceState([("vendor", "x")]))


@pytest.fixture(autouse=True)
def joined(spans: Spans) -> None:
    """A tracer of ours was made, and opentelemetry is imported: that is enough."""
    assert type(context._RUNTIME_CONTEXT) is bridge.RuntimeContext


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def theirs(exporter: InMemorySpanExporter) -> trace.Tracer:
    """A tracer of OpenTelemetry's that records."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("theirs")


@pytest.fixture
def ours(spans: Spans) -> Any:
    return spans.tracer


def ids(span: Any) -> tuple[str, str]:
    """(trace id, span id) of a span of either side, as hex."""
    if isinstance(span, trace.Span):
        said = span.get_span_context()
        return f"{said.trace_id:032x}", f"{said.span_id:016x}"
    return span.trace_id, span.span_id


def parent(span: Any) -> str | None:
    """The span id of a span's parent."""
    if isinstance(span, trace.Span):
        above = span.parent  # type: ignore[attr-defined]  # the SDK's spans have one
        return None if above is None else f"{above.span_id:016x}"
    found: str | None = span.parent_id
    return found


# ---------------------------------------------------------------------- one tree


def test_ours_is_the_child_of_theirs(theirs: trace.Tracer, ours: Any, spans: Spans) -> None:
    with theirs.start_as_current_span("request") as request:
        assert ids(mqtrace.current_span()) == ids(request)
        with ours.start_span("work") as work:
            assert ids(mqtrace.current_span()) == ids(work)
        assert ids(mqtrace.current_span()) == ids(request)
    assert mqtrace.current_span() is core.NOOP
    assert (work.trace_id, work.parent_id) == ids(request)
    assert spans[0].parent_remote is False


def test_theirs_is_the_child_of_ours(theirs: trace.Tracer, ours: Any) -> None:
    with ours.start_span("work") as work:
        assert ids(trace.get_current_span()) == ids(work)
        with theirs.start_as_current_span("query") as query:
            assert ids(trace.get_current_span()) == ids(query)
        assert ids(trace.get_current_span()) == ids(work)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert (ids(query)[0], parent(query)) == ids(work)
    assert query.parent.is_remote is False  # type: ignore[attr-defined]  # the SDK's spans have one


def test_they_nest_as_deep_as_one_likes(theirs: trace.Tracer, ours: Any) -> None:
    with theirs.start_as_current_span("a") as a, ours.start_span("b") as b:
        with theirs.start_as_current_span("c") as c, ours.start_span("d") as d:
            assert ids(trace.get_current_span()) == ids(mqtrace.current_span()) == ids(d)
    made = [a, b, c, d]
    assert len({ids(span)[0] for span in made}) == 1
    assert [parent(span) for span in made] == [None, *[ids(span)[1] for span in made[:-1]]]


def test_a_handler_asks_opentelemetry_and_is_given_the_process_span(message: Any, spans: Spans) -> None:
    seen: list[Any] = []

    @mqtrace.consumer
    def handle(message: Any) -> None:
        span = trace.get_current_span()
        seen.append((ids(span), span.is_recording()))
        span.set_attribute("one", 1)
        span.set_attributes({"two": 2})
        span.add_event("seen", {"a": "b"})
        span.add_link(REMOTE, {"why": "because"})
        span.record_exception(ValueError("no"), {"mine": True})
        span.set_status(Status(StatusCode.ERROR, "it failed"))
        span.update_name("another")
        span.end()
        assert span.is_recording()

    handle(message(headers=HEADERS))
    (span,) = spans
    assert seen == [(ids(span), True)]
    assert span.name == "process orders"
    assert {"one": 1, "two": 2}.items() <= span.attributes.items()
    assert [event.name for event in span.events] == ["seen", "exception"]
    assert span.events[1].attributes["mine"] is True
    assert span.events[1].attributes["exception.type"] == "ValueError"
    assert (span.status, span.status_description) == ("error", "it failed")
    assert span.links[-1].context.trace_id == f"{0xA1:032x}"
    assert dict(span.links[-1].attributes) == {"why": "because"}
    assert span.links[-1].remote


@pytest.mark.parametrize(("given", "kept"), [(StatusCode.OK, "ok"), (StatusCode.UNSET, "unset"), ("nonsense", "unset")])
def test_a_status_without_a_description(ours: Any, given: Any, kept: str) -> None:
    with ours.start_span("work") as work:
        trace.get_current_span().set_status(given)
    assert work.status == kept


def test_a_link_to_no_trace_is_passed_over(ours: Any) -> None:
    with ours.start_span("a") as span:
        for nothing in (None, trace.INVALID_SPAN_CONTEXT):
            trace.get_current_span().add_link(nothing)  # type: ignore[arg-type]  # that is the mistake
        assert span.links == ()


def test_nothing_of_it_raises_after_the_end_or_without_a_span(ours: Any) -> None:
    with ours.start_span("work"):
        kept = trace.get_current_span()
    with mqtrace.use(ours.extract({"traceparent": f"00-{TRACE}-{PARENT}-02"})):
        passing = trace.get_current_span()
        assert ids(passing) == (TRACE, PARENT)
        assert passing.get_span_context().is_remote
    for span in (kept, passing):
        assert not span.is_recording()
        span.set_attribute("a", 1)
        span.set_attributes({})
        span.add_event("e")
        span.add_link(REMOTE)
        span.record_exception(ValueError())
        span.set_status(StatusCode.OK)


def test_each_and_process_and_batch_are_seen_too(message: Any, spans: Spans) -> None:
    looped: Any = None
    for _ in mqtrace.each([message(headers=HEADERS)]):
        looped = ids(trace.get_current_span())
    with mqtrace.process(message(headers=HEADERS)) as processed:
        assert ids(trace.get_current_span()) == ids(processed)
    with mqtrace.batch([message(headers=HEADERS)]) as batch:
        assert ids(trace.get_current_span()) == ids(batch)
    assert looped == ids(spans[0])
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_message_without_a_context_inside_their_span_is_its_child(theirs: trace.Tracer, message: Any) -> None:
    with theirs.start_as_current_span("poll") as poll, mqtrace.process(message(headers=None)) as span:
        pass
    assert (span.trace_id, span.parent_id) == ids(poll)


def test_a_message_with_a_context_inside_their_span_is_linked_to_it(theirs: trace.Tracer, message: Any) -> None:
    with theirs.start_as_current_span("poll") as poll, mqtrace.process(message(headers=HEADERS)) as span:
        pass
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert ids(poll)[1] in [link.context.span_id for link in span.links]


def test_an_empty_context_of_theirs_starts_a_new_root(ours: Any) -> None:
    with ours.start_span("work") as work:
        token = context.attach(context.Context())
        assert trace.get_current_span() is trace.INVALID_SPAN
        with ours.start_span("apart") as apart:
            pass
        context.detach(token)
        assert ids(trace.get_current_span()) == ids(work)
    assert apart.parent_id is None
    assert apart.trace_id != work.trace_id


def test_use_none_hides_their_span(theirs: trace.Tracer, ours: Any) -> None:
    with theirs.start_as_current_span("request"), mqtrace.use(None):
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert mqtrace.current_span().trace_id == "0" * 32
        with ours.start_span("apart") as apart:
            pass
    assert apart.parent_id is None


def test_a_span_of_ours_in_a_context_of_theirs_is_that_span(ours: Any) -> None:
    """``baggage.set_baggage`` and ``attach`` in a handler make such a context."""
    with ours.start_span("work") as work:
        token = context.attach(baggage.set_baggage("tenant", "blue"))
        assert mqtrace.current_span() is work
        with ours.start_span("below") as below:
            assert dict(below.baggage) == {"tenant": "blue"}
        context.detach(token)
        assert mqtrace.current_span() is work
    assert below.parent_id == work.span_id


# ---------------------------------------------------------------------- sampling, remote parents, state


def test_what_they_do_not_sample_we_do_not(ours: Any, spans: Spans) -> None:
    off = TracerProvider(sampler=ALWAYS_OFF).get_tracer("off")
    with off.start_as_current_span("request") as request:
        with ours.start_span("work") as work:
            assert not work.is_recording()
            assert work.trace_id == ids(request)[0]
    assert spans == []


def test_what_we_do_not_sample_they_do_not(theirs: trace.Tracer, exporter: InMemorySpanExporter) -> None:
    with record(sampler=0.0) as spans:
        with spans.tracer.start_span("work") as work:
            with theirs.start_as_current_span("query") as query:
                assert not query.is_recording()
                assert ids(query)[0] == work.trace_id
    assert exporter.get_finished_spans() == ()


def test_a_remote_parent_of_theirs_is_a_remote_parent_with_its_state(ours: Any, spans: Spans) -> None:
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(REMOTE)))
    with ours.start_span("work"):
        pass
    context.detach(token)
    (work,) = spans
    assert work.parent_id == f"{0xB2:016x}"
    assert work.parent_remote
    assert work.trace_state == "vendor=x"


def test_the_state_of_a_message_reaches_their_child(theirs: trace.Tracer, message: Any) -> None:
    with mqtrace.process(message(headers=[*HEADERS, ("tracestate", b"vendor=x")])):
        with theirs.start_as_current_span("query") as query:
            assert query.get_span_context().trace_state.to_header() == "vendor=x"


# ---------------------------------------------------------------------- baggage


def test_baggage_of_a_message_is_theirs_too_and_can_be_added_to(message: Any) -> None:
    with mqtrace.process(message(headers=[*HEADERS, ("baggage", b"tenant=blue")])):
        assert dict(baggage.get_all()) == {"tenant": "blue"}
        token = context.attach(baggage.set_baggage("user", "7"))
        assert dict(baggage.get_all()) == {"tenant": "blue", "user": "7"}
        context.detach(token)


def test_our_span_is_theirs_within_a_block_of_baggage_too(ours: Any) -> None:
    with ours.start_span("a") as span, mqtrace.use(mqtrace.set_baggage("k", "v")):
        trace.get_current_span().set_attribute("x", 1)
        assert baggage.get_baggage("k") == "v"
    assert span.attributes == {"x": 1}


def test_baggage_of_theirs_goes_along_with_what_we_send(theirs: trace.Tracer, ours: Any) -> None:
    token = context.attach(baggage.set_baggage("tenant", "blue"))
    carrier: dict[str, str] = {}
    ours.inject(carrier)
    assert carrier["baggage"] == "tenant=blue"
    with theirs.start_as_current_span("request"), ours.start_span("work") as work:
        assert dict(work.baggage) == {"tenant": "blue"}
        with mqtrace.use(None):
            assert dict(baggage.get_all()) == {}
    context.detach(token)


# ---------------------------------------------------------------------- orders, threads, tasks, generators


def test_ends_in_any_order_leave_nothing_of_ours_current(
    theirs: trace.Tracer, ours: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> None:
        first = context.attach(trace.set_span_in_context(theirs.start_span("first")))
        work = ours.start_span("work")
        work.__enter__()
        second = context.attach(trace.set_span_in_context(theirs.start_span("second")))
        context.detach(first)
        work.__exit__(None, None, None)
        context.detach(second)
        # OpenTelemetry's own rule: a reset makes current what was before its attach, here the first one again
        current = ids(trace.get_current_span())
        with ours.start_span("after") as after:
            assert (after.trace_id, after.parent_id) == current
        assert current[1] != work.span_id

    contextvars.copy_context().run(run)
    assert "detach" not in caplog.text


def test_what_they_detach_below_ours_is_gone_when_ours_ends(theirs: trace.Tracer, ours: Any) -> None:
    def run() -> None:
        token = context.attach(trace.set_span_in_context(theirs.start_span("request")))
        with ours.start_span("work") as work:
            context.detach(token)
            assert ids(trace.get_current_span()) == ids(work)
        assert trace.get_current_span() is trace.INVALID_SPAN
        with ours.start_span("after") as after:
            assert after.parent_id is None

    contextvars.copy_context().run(run)


def frames() -> int:
    return len(list(core.open_frames()))


@pytest.mark.parametrize("detached", [(0, 1, 2), (1, 0), (0, 2), (2, 0), (0,), (1, 0, 2)])
def test_requests_that_detach_in_any_order_or_not_at_all_leave_no_more_with_each(
    theirs: trace.Tracer, ours: Any, detached: tuple[int, ...]
) -> None:
    """Flask's instrumentation attaches three contexts a request, and detaches the second and the first."""

    def request(within: bool) -> int:
        tokens = [context.attach(trace.set_span_in_context(theirs.start_span("request"))) for _ in range(3)]
        with ours.start_span("work") as work:
            if within:
                for number in detached:
                    context.detach(tokens[number])
                assert mqtrace.current_span() is work
        if not within:
            for number in detached:
                context.detach(tokens[number])
        current = trace.get_current_span()
        with ours.start_span("after") as after:
            assert after.parent_id == (f"{current.get_span_context().span_id:016x}" if current.is_recording() else None)
        return frames()

    def run(within: bool) -> list[int]:
        return [request(within) for _ in range(20)]

    for within in (False, True):
        left = contextvars.copy_context().run(run, within)
        assert max(left) <= 3


def test_what_is_detached_below_both_is_no_longer_kept(theirs: trace.Tracer, ours: Any) -> None:
    def run() -> list[int]:
        left = []
        for _ in range(20):
            outer = context.attach(trace.set_span_in_context(theirs.start_span("outer")))
            with ours.start_span("work"):
                inner = context.attach(trace.set_span_in_context(theirs.start_span("inner")))
                context.detach(outer)
                context.detach(inner)
            left.append(frames())
        return left

    assert max(contextvars.copy_context().run(run)) <= 2


def test_threads_begin_with_nothing_and_are_handed_a_context(theirs: trace.Tracer, ours: Any) -> None:
    found: list[Any] = []

    def work(given: Any) -> None:
        found.append(mqtrace.current_span().trace_id)
        token = context.attach(given)
        with ours.start_span("in a thread") as span:
            found.append(span.parent_id)
        context.detach(token)

    with theirs.start_as_current_span("request") as request:
        thread = threading.Thread(target=work, args=(context.get_current(),))
        thread.start()
        thread.join()
    assert found == ["0" * 32, ids(request)[1]]


def test_a_thousand_tasks_of_both_mix_nothing(theirs: trace.Tracer, ours: Any) -> None:
    async def work(number: int) -> bool:
        with theirs.start_as_current_span(f"a{number}") as a:
            await asyncio.sleep(0)
            with ours.start_span(f"b{number}") as b:
                await asyncio.sleep(0)
                with theirs.start_as_current_span(f"c{number}") as c:
                    await asyncio.sleep(0)
                    return parent(c) == ids(b)[1] and parent(b) == ids(a)[1] and parent(a) is None

    async def everything() -> list[bool]:
        return await asyncio.gather(*(work(number) for number in range(1000)))

    assert all(asyncio.run(everything()))


def test_a_generator_handler_is_theirs_inside_only(message: Any, spans: Spans) -> None:
    @mqtrace.consumer
    def handle(message: Any) -> Iterator[Any]:
        yield ids(trace.get_current_span())
        yield ids(trace.get_current_span())

    generator: Any = handle(message(headers=HEADERS))
    inside = next(generator)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert next(generator) == inside
    generator.close()
    assert inside == ids(spans[0])


def test_an_async_generator_closed_in_another_task_logs_nothing(
    theirs: trace.Tracer, ours: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        with ours.start_span("stream"):
            yield 1
            yield 2

    async def main() -> None:
        stream: Any = numbers()
        await asyncio.create_task(anext(stream))
        await asyncio.create_task(stream.aclose())
        assert trace.get_current_span() is trace.INVALID_SPAN
        with theirs.start_as_current_span("after") as after:
            assert parent(after) is None

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
        gc.collect()
    assert "detach" not in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_of_fork_leaves_open_frames_of_both(theirs: trace.Tracer, ours: Any) -> None:
    with ours.start_span("parent's") as outer, theirs.start_as_current_span("request"):
        pid = os.fork()
        if pid == 0:
            os._exit(1 if outer.is_recording() else 0)
        assert os.waitpid(pid, 0)[1] == 0
        assert outer.is_recording()


def test_what_the_exporters_thread_does_is_not_instrumented_by_them() -> None:
    token = core.attach(core.SUPPRESSED)
    try:
        assert context.get_value("suppress_instrumentation")
        assert context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY)
        assert not trace.get_current_span().get_span_context().trace_flags.sampled
    finally:
        core.detach(token)
    assert not context.get_value("suppress_instrumentation")


# ---------------------------------------------------------------------- joining


def test_a_context_of_before_is_the_parent_and_its_token_is_good(
    theirs: trace.Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> None:
        bridge.leave()
        span = theirs.start_span("before")
        token = context.attach(trace.set_span_in_context(span))
        assert bridge.join()
        with record() as spans:
            with spans.tracer.start_span("work") as work:
                pass
            context.detach(token)
            with spans.tracer.start_span("after") as after:
                pass
        assert work.parent_id == ids(span)[1]
        assert after.parent_id is None

    contextvars.copy_context().run(run)
    assert "detach" not in caplog.text


def test_leaving_makes_two_of_them_again(ours: Any) -> None:
    bridge.leave()
    try:
        with ours.start_span("work"):
            assert trace.get_current_span() is trace.INVALID_SPAN
    finally:
        assert bridge.join()


def test_another_runtime_context_is_left_alone_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Own:
        pass

    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", Own())
    assert not bridge.join()
    assert "Own" in caplog.text
    bridge.leave()


def test_an_opentelemetry_of_another_version_costs_one_warning_and_tracing_goes_on() -> None:
    said = program(
        """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
        import opentelemetry.context
        del opentelemetry.context._RUNTIME_CONTEXT
        import mqtrace
        from mqtrace.testing import record
        with record() as spans, mqtrace.start_span("work"):
            mqtrace.Tracer("another", exporter="none:")
        print([span.name for span in spans])
        """
    ).splitlines()
    assert len(said) == 2, said
    assert said[0].startswith("WARNING mqtrace is not joined with this OpenTelemetry")
    assert "1.30" in said[0]
    assert said[1] == "['work']"


def program(text: str, **environment: str) -> str:
    """The output of a program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ASKED = """
def one_tree():
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    theirs = TracerProvider().get_tracer("t")
    with theirs.start_as_current_span("a") as a, tracer.start_span("b") as b:
        return int(b.trace_id, 16) == a.get_span_context().trace_id
print(one_tree())
"""


def test_it_is_not_imported_unless_the_application_imports_it() -> None:
    said = program(
        """
        import sys, mqtrace
        tracer = mqtrace.configure("shop", exporter="none:")
        with tracer.start_span("a"): pass
        print([name for name in sys.modules if name.startswith("opentelemetry")])
        """
    )
    assert said == "[]"


@pytest.mark.parametrize("first", ["import opentelemetry.trace", "import mqtrace"])
def test_it_is_joined_in_whichever_order_the_two_are_imported(first: str) -> None:
    text = f"{first}\nimport mqtrace\ntracer = mqtrace.configure('shop', exporter='none:')\n"
    assert program(text + ASKED) == "True"


def test_false_is_never_and_the_variable_says_the_same() -> None:
    text = "import mqtrace\ntracer = mqtrace.configure('shop', exporter='none:'{})\n"
    assert program(text.format(", opentelemetry=False") + ASKED) == "False"
    assert program(text.format("") + ASKED, MQTRACE_OPENTELEMETRY="false") == "False"
    assert program(text.format(", opentelemetry=True") + ASKED, MQTRACE_OPENTELEMETRY="false") == "True"


def test_configuring_again_with_false_leaves() -> None:
    text = "import mqtrace\nfrom opentelemetry import trace\nmqtrace.configure('shop', exporter='none:')\n"
    text += "tracer = mqtrace.configure('shop', exporter='none:', opentelemetry=False)\n"
    assert program(text + ASKED) == "False"


def test_true_without_opentelemetry_is_one_sentence() -> None:
    said = program(
        """
        import sys
        sys.modules["opentelemetry"] = None
        import mqtrace
        try:
            mqtrace.configure("shop", exporter="none:", opentelemetry=True)
        except mqtrace.ConfigurationError as error:
            print(error)
        """
    )
    assert said == "opentelemetry=True, and OpenTelemetry is not installed: pip install 'mqtrace[otel]'"


def test_a_wrong_value_is_one_sentence() -> None:
    wrong: Any = "yes"
    with pytest.raises(mqtrace.ConfigurationError, match="True, False or None"):
        mqtrace.Tracer("shop", exporter="none:", opentelemetry=wrong)


def test_otel_python_context_may_name_it() -> None:
    text = "import mqtrace\ntracer = mqtrace.configure('shop', exporter='none:', opentelemetry=False)\n"
    assert program(text + ASKED, OTEL_PYTHON_CONTEXT="mqtrace") == "True"
