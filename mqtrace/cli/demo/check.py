"""Whether the demo's traces are whole: the demo fails where mqtrace lost something.

Every rule speaks of any stage, not of the shop's topics, so a stage that is added is checked by them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from mqtrace.otlp.records import SpanRecord
from mqtrace.otlp.trace import Trace

__all__ = ["problems_of_counts", "problems_of_traces"]

#: A request comes in at a span of this kind; every other trace is a batch's.
_ENTRY: Final = "server"


def problems_of_traces(traces: Sequence[Trace]) -> dict[str, list[str]]:
    """What is wrong with each broken trace, by its id, a sentence each; empty when all are whole."""
    spans = {(span.trace_id, span.span_id): span for trace in traces for span in trace.spans.values()}
    handled = set(_handled(spans.values()))
    broken: dict[str, list[str]] = {}
    for trace in traces:
        sentences = [
            sentence for span in trace.spans.values() for sentence in _problems_of_span(trace, span, spans, handled)
        ]
        if sentences:
            broken[trace.trace_id] = sentences
    return broken


def _handled(spans: Iterable[SpanRecord]) -> Iterator[tuple[str, str]]:
    """The contexts of the messages that were processed."""
    for span in spans:
        if span.kind == "consumer":
            if span.parent_id is not None:
                yield span.trace_id, span.parent_id
            for link in span.links:
                yield link.trace_id, link.span_id


def _problems_of_span(
    trace: Trace,
    span: SpanRecord,
    spans: Mapping[tuple[str, str], SpanRecord],
    handled: set[tuple[str, str]],
) -> Iterator[str]:
    what = f"{span.name!r} of {span.service} in trace {trace.trace_id}"
    if span.parent_id is not None and span.parent_id not in trace.spans:
        yield f"{what}: its parent {span.parent_id} is not on the span topic"
    if span.batch_count is not None:
        if len(span.links) != span.batch_count:
            yield f"{what}: {span.batch_count} messages, but {len(span.links)} links"
        lost = sum((link.trace_id, link.span_id) not in spans for link in span.links)
        if lost:
            yield f"{what}: {lost} links lead to no span"
    elif span.parent_id is None and span.kind != _ENTRY:
        yield f"{what}: it begins a trace, so the context of what caused it was lost"
    above = trace.spans.get(span.parent_id or "")
    if above is not None and above.attributes.get("shop.left_on_purpose") is True:
        return
    if span.kind == "producer" and span.status != "error" and (span.trace_id, span.span_id) not in handled:
        yield f"{what}: nobody who processed the message is connected to it"


def problems_of_counts(
    stats: Mapping[str, Mapping[str, Any]], traces: Sequence[Trace], sent: int, received: int, foreign_spans: int = 0
) -> list[str]:
    """What is wrong with the counts, a sentence each.

    ``stats``: of each stage's tracer. ``traces``: from the topic. ``sent`` and ``received``: messages, as stages say.
    ``foreign_spans``: spans that another library has sent to the topic.
    """
    problems: list[str] = []
    read = sum(len(trace.spans) for trace in traces)
    sends = sum(span.kind == "producer" for trace in traces for span in trace.spans.values())
    exported = foreign_spans + sum(counts["spans_exported"] for counts in stats.values())
    for role, counts in stats.items():
        for reason, number in counts["spans_dropped"].items():
            if number:
                problems.append(f"{role} dropped {number} spans: {reason}")
        if counts["spans_ended"] != counts["spans_exported"] + sum(counts["spans_dropped"].values()):
            problems.append(f"{role} ended {counts['spans_ended']} spans and exported {counts['spans_exported']}")
        if counts["contexts_malformed"]:
            problems.append(f"{role} met {counts['contexts_malformed']} malformed contexts")
    if read != exported:
        problems.append(f"{exported} spans were exported, and {read} are on the span topic")
    if sends != sent:
        problems.append(f"{sent} messages were sent, and {sends} spans on the span topic say so")
    if sent != received:
        problems.append(f"{sent} messages were sent, and {received} were processed")
    return problems
