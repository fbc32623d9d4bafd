"""What the demo calls broken."""

from __future__ import annotations

from typing import Any

import pytest

from mqtrace.cli.demo.check import problems_of_counts, problems_of_traces
from mqtrace.cli.records import LinkRecord, SpanRecord
from mqtrace.cli.trace import Trace

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
        "spans_ended": 5,
        "spans_exported": 5,
        "spans_dropped": {"queue_full": 0},
        "contexts_malformed": 0,
        **changed,
    }


def test_counts_that_agree_are_no_problem() -> None:
    assert problems_of_counts({"front": stats(), "payments": stats()}, 10, 3, 3) == []


@pytest.mark.parametrize(
    ("counts", "read", "received", "sentence"),
    [
        (stats(), 4, 3, "5 spans were exported, and 4 are on the span topic"),
        (stats(), 5, 2, "3 messages were sent, and 2 were processed"),
        (stats(spans_ended=6, spans_dropped={"queue_full": 1}), 5, 3, "front dropped 1 spans: queue_full"),
        (stats(spans_ended=6), 5, 3, "front ended 6 spans and exported 5"),
        (stats(contexts_malformed=2), 5, 3, "front met 2 malformed contexts"),
    ],
)
def test_counts_that_do_not_agree_are(counts: dict[str, Any], read: int, received: int, sentence: str) -> None:
    assert sentence in problems_of_counts({"front": counts}, read, 3, received)
