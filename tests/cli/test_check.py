"""What the demo calls broken."""

from __future__ import annotations

from typing import Any

import pytest

from mqtrace.cli.demo.check import problems_of_counts, problems_of_traces
from mqtrace.otlp.records import LinkRecord, SpanRecord
from mqtrace.otlp.trace import Trace

A, B = "a" * 32, "b" * 32
ROOT, SEND, PROCESS, BATCH = "1" * 16, "2" * 16, "3" * 16, "4" * 16
TO = LinkRecord(A, SEND)


def span(trace_id: str, span_id: str, parent: str | None, kind: str, **more: Any) -> SpanRecord:
    return SpanRecord(trace_id, span_id, parent, kind, kind=kind, service="shop", **more)


def batch(*links: LinkRecord, count: int = 1) -> SpanRecord:
    return span(B, BATCH, None, "consumer", links=links, attributes={"messaging.batch.message_count": count})


def traces_of(*spans: SpanRecord) -> list[Trace]:
    traces: dict[str, Trace] = {}
    for one in spans:
        traces.setdefault(one.trace_id, Trace(one.trace_id)).add(one)
    return list(traces.values())


REQUEST = span(A, ROOT, None, "server")
SENT = span(A, SEND, ROOT, "producer")
PROCESSED = span(A, PROCESS, SEND, "consumer")


@pytest.mark.parametrize("handled", [[PROCESSED], [batch(TO)], [PROCESSED, batch(TO)]])
def test_a_message_that_is_processed_below_its_send_or_in_a_linked_batch_is_whole(handled: list[SpanRecord]) -> None:
    assert problems_of_traces(traces_of(REQUEST, SENT, *handled)) == {}


@pytest.mark.parametrize(
    ("spans", "broken", "sentence"),
    [
        ([REQUEST, PROCESSED], A, "its parent 2222222222222222 is not on the span topic"),
        ([SENT, PROCESSED], A, "its parent 1111111111111111 is not on the span topic"),
        ([REQUEST, SENT], A, "nobody who processed the message is connected to it"),
        ([span(B, PROCESS, None, "consumer")], B, "the context of what caused it was lost"),
        ([span(B, SEND, None, "producer"), span(B, PROCESS, SEND, "consumer")], B, "it begins a trace"),
        ([REQUEST, SENT, batch(TO, count=2)], B, "2 messages, but 1 links"),
        ([REQUEST, SENT, PROCESSED, batch()], B, "1 messages, but 0 links"),
        ([REQUEST, SENT, PROCESSED, batch(LinkRecord(A, BATCH))], B, "1 links lead to no span"),
    ],
)
def test_what_is_broken_says_where_and_how(spans: list[SpanRecord], broken: str, sentence: str) -> None:
    found = problems_of_traces(traces_of(*spans))
    assert list(found) == [broken]
    assert any(sentence in one for one in found[broken])


def stats(**changed: Any) -> dict[str, Any]:
    return {
        "spans_ended": 3,
        "spans_exported": 3,
        "spans_dropped": {"queue_full": 0},
        "contexts_malformed": 0,
        **changed,
    }


def test_counts_that_agree_are_no_problem() -> None:
    parts = {"front": stats(spans_ended=2, spans_exported=2), "payments": stats(spans_ended=1, spans_exported=1)}
    assert problems_of_counts(parts, traces_of(REQUEST, SENT, PROCESSED), 1, 1) == []


@pytest.mark.parametrize(
    ("counts", "spans", "received", "sentence"),
    [
        (stats(), [REQUEST, SENT], 1, "3 spans were exported, and 2 are on the span topic"),
        (stats(), [REQUEST, SENT, PROCESSED], 0, "1 messages were sent, and 0 were processed"),
        (stats(), [REQUEST, PROCESSED], 1, "1 messages were sent, and 0 spans on the span topic say so"),
        (stats(spans_ended=4, spans_dropped={"queue_full": 1}), [], 1, "front dropped 1 spans: queue_full"),
        (stats(spans_ended=4), [], 1, "front ended 4 spans and exported 3"),
        (stats(contexts_malformed=2), [], 1, "front met 2 malformed contexts"),
    ],
)
def test_counts_that_do_not_agree_are(
    counts: dict[str, Any], spans: list[SpanRecord], received: int, sentence: str
) -> None:
    assert sentence in problems_of_counts({"front": counts}, traces_of(*spans), 1, received)
