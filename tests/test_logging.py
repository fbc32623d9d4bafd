"""Log records say the trace they were made in."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import logging.handlers
import pickle
import queue
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

import mqtrace
import mqtrace.logging
from mqtrace.testing import Spans, record

FORMAT = "%(trace_id)s %(span_id)s %(trace_flags)s %(service_name)s %(message)s"
UNSAMPLED = f"00-{'a1' * 16}-{'b2' * 8}-02"


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(out: io.StringIO) -> Iterator[logging.Logger]:
    """A logger of its own that writes the fields to ``out``."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter(FORMAT))
    made = logging.getLogger("tests.logging")
    made.propagate = False
    made.addHandler(handler)
    yield made
    made.removeHandler(handler)


@pytest.fixture
def installed() -> Iterator[None]:
    mqtrace.logging.install()
    yield
    mqtrace.logging.uninstall()


def filtered(log: logging.Logger) -> None:
    log.handlers[0].addFilter(mqtrace.logging.TraceContextFilter())


def test_a_record_within_a_span_says_its_trace(log: logging.Logger, out: io.StringIO, spans: Spans) -> None:
    filtered(log)
    with spans.tracer.start_span("work") as span:
        log.warning("within")
    assert out.getvalue() == f"{span.trace_id} {span.span_id} 01 shop within\n"


def test_a_record_without_a_trace_has_empty_fields(log: logging.Logger, out: io.StringIO) -> None:
    filtered(log)
    log.warning("alone")
    with mqtrace.use(mqtrace.Context(None, None, {"tenant": "blue"})):
        log.warning("baggage")
    assert out.getvalue() == "    alone\n    baggage\n"


def test_what_is_not_sampled_says_so(log: logging.Logger, out: io.StringIO, spans: Spans) -> None:
    filtered(log)
    with mqtrace.use(spans.tracer.extract({"traceparent": UNSAMPLED})):
        log.warning("unsampled")
    assert out.getvalue() == f"{'a1' * 16} {'b2' * 8} 00 shop unsampled\n"


def test_installed_every_record_of_the_process_has_the_fields(
    log: logging.Logger, out: io.StringIO, spans: Spans, installed: None
) -> None:
    with spans.tracer.start_span("work") as span:
        log.warning("within")
        made = logging.getLogger("elsewhere").makeRecord("elsewhere", 30, "f", 1, "m", (), None)
    log.warning("after")
    assert out.getvalue() == f"{span.trace_id} {span.span_id} 01 shop within\n    after\n"
    assert (made.trace_id, made.service_name) == (span.trace_id, "shop")  # type: ignore[attr-defined]  # set by us


def test_fields_of_extra_win_and_are_no_error(
    log: logging.Logger, out: io.StringIO, spans: Spans, installed: None
) -> None:
    filtered(log)
    with spans.tracer.start_span("work") as span:
        log.warning("mine", extra={"trace_id": "t", "service_name": "s"})
    assert out.getvalue() == f"t {span.span_id} 01 s mine\n"


def test_a_name_that_logging_keeps_for_itself_is_still_refused(log: logging.Logger, installed: None) -> None:
    with pytest.raises(KeyError, match="overwrite"):
        log.warning("wrong", extra={"name": "x"})


def test_installing_twice_is_once_and_uninstalling_takes_it_back() -> None:
    before = logging.getLogRecordFactory()
    mqtrace.logging.install()
    ours = logging.getLogRecordFactory()
    mqtrace.logging.install()
    assert logging.getLogRecordFactory() is ours
    mqtrace.logging.uninstall()
    assert logging.getLogRecordFactory() is before
    mqtrace.logging.uninstall()
    assert logging.getLogRecordFactory() is before


def test_a_factory_before_and_one_around_ours_go_on() -> None:
    original = logging.getLogRecordFactory()

    def inner(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = original(*args, **kwargs)
        made.tenant = "blue"
        return made

    logging.setLogRecordFactory(inner)
    try:
        mqtrace.logging.install()
        ours = logging.getLogRecordFactory()

        def around(*args: Any, **kwargs: Any) -> logging.LogRecord:
            return ours(*args, **kwargs)

        logging.setLogRecordFactory(around)
        made = around("n", 30, "f", 1, "m", (), None)
        assert made.__dict__["tenant"] == "blue"
        assert made.__dict__["trace_id"] == ""
        mqtrace.logging.uninstall()
        assert logging.getLogRecordFactory() is around
        assert not hasattr(around("n", 30, "f", 1, "m", (), None), "trace_id")
    finally:
        logging.setLogRecordFactory(original)


def test_a_record_is_copied_pickled_and_sent_with_its_fields(spans: Spans, installed: None) -> None:
    """What QueueHandler and SocketHandler do."""
    with spans.tracer.start_span("work") as span:
        made = logging.getLogger("x").makeRecord("x", 30, "f", 1, "m", (), None)
    others: tuple[Any, ...] = (
        copy.copy(made),
        pickle.loads(pickle.dumps(made)),
        logging.makeLogRecord(dict(made.__dict__)),
    )
    for other in others:
        assert other.trace_id == span.trace_id
    waiting: queue.Queue[Any] = queue.Queue()
    with spans.tracer.start_span("work") as span:
        logging.handlers.QueueHandler(waiting).emit(logging.getLogger("x").makeRecord("x", 30, "f", 1, "m", (), None))
    assert waiting.get().__dict__["trace_id"] == span.trace_id


def test_defaults_of_a_formatter_and_other_styles_work(spans: Spans, installed: None) -> None:
    with spans.tracer.start_span("work") as span:
        made = logging.getLogger("x").makeRecord("x", 30, "f", 1, "m", (), None)
    assert logging.Formatter("{trace_id}", style="{").format(made) == span.trace_id
    assert logging.Formatter("$trace_id", style="$").format(made) == span.trace_id
    assert logging.Formatter("%(trace_id)s %(tenant)s", defaults={"tenant": "-"}).format(made) == f"{span.trace_id} -"


def test_the_handler_of_a_message_logs_in_its_trace(
    log: logging.Logger, out: io.StringIO, spans: Spans, message: Any, installed: None
) -> None:
    @mqtrace.consumer
    def handle(message: Any) -> None:
        log.warning("handled")

    handle(message(headers=[("traceparent", f"00-{'a1' * 16}-{'b2' * 8}-03".encode())]))
    assert out.getvalue().split()[:2] == ["a1" * 16, spans[0].span_id]


def test_tasks_log_in_their_own_traces(log: logging.Logger, out: io.StringIO, spans: Spans, installed: None) -> None:
    async def work(number: int) -> str:
        with spans.tracer.start_span("work") as span:
            await asyncio.sleep(0)
            log.warning(str(number))
            return span.trace_id

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(work(number) for number in range(50)))

    traces = asyncio.run(all_of_them())
    said = {line.split()[-1]: line.split()[0] for line in out.getvalue().splitlines()}
    assert said == {str(number): trace for number, trace in enumerate(traces)}


def test_a_tracer_of_its_own_says_its_service(log: logging.Logger, out: io.StringIO, installed: None) -> None:
    with record("mine") as mine:
        pass
    with mine.tracer.start_span("work"):
        log.warning("within")
    assert " mine within" in out.getvalue()


def test_structlog_events_have_the_fields_only_within_a_trace(spans: Spans) -> None:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[mqtrace.logging.add_trace_context, structlog.processors.JSONRenderer()]
    )
    logger.info("alone")
    with spans.tracer.start_span("work") as span:
        logger.info("within", span_id="mine")
    alone, within = (json.loads(line) for line in out.getvalue().splitlines())
    assert alone == {"event": "alone"}
    assert within == {
        "event": "within",
        "trace_id": span.trace_id,
        "span_id": "mine",
        "trace_flags": "01",
        "service_name": "shop",
    }
