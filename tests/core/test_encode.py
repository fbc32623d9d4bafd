"""Spans to OTLP bytes, the long way too: what opentelemetry-proto reads in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core

Make = Callable[..., core.Template]
PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
OFFSET = "messaging.kafka.offset"
OTHER = b"00-" + b"c" * 32 + b"-" + b"d" * 16 + b"-01"


def ended(template: core.Template, make: Any = core.Span, **slots: Any) -> Any:
    """A span of this class, ended once ``prepare`` has had it."""
    prepare = slots.pop("prepare", lambda span: None)
    span: Any = core.start(template, core.Context(PARENT), make)
    for name, value in slots.items():
        setattr(span, name, value)
    prepare(span)
    span.end()
    return span


def read(*spans: core.Span) -> Any:
    return trace_pb2.TracesData.FromString(core.request(spans))


def only(*spans: core.Span) -> Any:
    """The one span of a request."""
    (resource,) = read(*spans).resource_spans
    (scope,) = resource.scope_spans
    (span,) = scope.spans
    return span


def test_no_spans_are_no_bytes() -> None:
    assert core.request([]) == b""


def test_ids_times_and_the_resource_are_where_a_reader_looks_for_them(template: Make) -> None:
    span = ended(template("work", "server", {"a": 1}))
    data = read(span)
    (resource,) = data.resource_spans
    assert [(one.key, one.value.string_value) for one in resource.resource.attributes] == [("service.name", "shop")]
    seen = resource.scope_spans[0].spans[0]
    assert resource.scope_spans[0].scope.name == "mqtrace"
    assert (seen.trace_id.hex(), seen.span_id.hex()) == (span.trace_id, span.span_id)
    assert seen.parent_span_id.hex() == "b" * 16
    assert (seen.start_time_unix_nano, seen.end_time_unix_nano) == (span.start_time, span.end_time)
    assert (seen.name, seen.kind) == ("work", trace_pb2.Span.SPAN_KIND_SERVER)
    assert seen.flags & 0x300 == 0x300, "the parent is known to be remote"


def test_an_attribute_of_the_users_stands_in_the_place_of_the_operations_and_once(template: Make) -> None:
    span = ended(
        template(attributes={"system": "kafka", "kept": "yes"}), prepare=lambda s: s.set_attribute("system", "x")
    )
    seen = {one.key: one.value.string_value for one in only(span).attributes}
    assert len(only(span).attributes) == 2
    assert seen == {"system": "x", "kept": "yes"}


def test_a_batch_links_to_every_message_with_what_is_its_own(template: Make) -> None:
    origins = [(PARENT, 0, 7, None), (OTHER, -1, -1, {"topic": "orders"})]
    first, second = only(ended(template(), core.BatchSpan, origins=origins)).links
    assert (first.trace_id.hex(), first.span_id.hex()) == ("a" * 32, "b" * 16)
    assert {one.key for one in first.attributes} == {"messaging.destination.partition.id", OFFSET}
    assert [one.value.int_value for one in first.attributes if one.key == OFFSET] == [7]
    assert second.trace_id.hex() == "c" * 32
    assert [(one.key, one.value.string_value) for one in second.attributes] == [("topic", "orders")]


def test_a_batch_that_was_received_links_to_spans_of_another_process_and_one_that_is_sent_to_spans_of_this(
    template: Make,
) -> None:
    """SpanFlags of trace.proto: bit 9, and bit 8, which says that bit 9 says something."""
    flags = []
    for make in (core.BatchSpan, core.SendBatchSpan):
        span = ended(template(), make, origins=[(PARENT, -1, -1, None)])
        assert [link.remote for link in span.links] == [make.remote_origins]
        flags.append(only(span).links[0].flags & 0x300)
    assert flags == [0x300, 0x100]


def test_events_links_and_the_status_are_in_it(template: Make) -> None:
    def prepare(span: Any) -> None:
        span.add_event("charged", {"amount": 12}, 5)
        span.add_link(core.Context(OTHER), {"why": "retry"})
        span.set_status("error", "no money")

    seen = only(ended(template(), prepare=prepare))
    assert [(one.name, one.time_unix_nano, one.attributes[0].key) for one in seen.events] == [("charged", 5, "amount")]
    assert [(one.span_id.hex(), one.attributes[0].value.string_value) for one in seen.links] == [("d" * 16, "retry")]
    assert (seen.status.code, seen.status.message) == (trace_pb2.Status.STATUS_CODE_ERROR, "no money")


@pytest.mark.parametrize("length", [0, 100, 2000, 3000, 20_000])
def test_a_span_of_any_length_is_one_span_of_its_request(template: Make, length: int) -> None:
    spans = [ended(template(), prepare=lambda span: span.set_attribute("text", "x" * length)) for _ in range(3)]
    seen = read(*spans).resource_spans[0].scope_spans[0].spans
    assert [one.attributes[0].value.string_value for one in seen] == ["x" * length] * 3


def test_spans_of_two_tracers_are_under_the_resource_of_each(template: Make, recorder: Any) -> None:
    bank = core.Pipeline(
        "bank",
        {"service.name": "bank"},
        recorder,
        clock=core.Clock(),
        limits=core.Limits(),
        counters=core.Counters(),
    )
    of_shop = template("charge")
    of_bank = core.Template(bank, "pay", "internal", {}, sampling=of_shop.sampling)
    data = read(ended(of_shop), ended(of_bank), ended(of_shop))
    assert [
        (one.resource.attributes[0].value.string_value, [span.name for span in one.scope_spans[0].spans])
        for one in data.resource_spans
    ] == [("shop", ["charge", "charge"]), ("bank", ["pay"])]


def test_text_that_is_not_unicode_can_be_read(template: Make) -> None:
    seen = only(ended(template(), prepare=lambda span: span.set_attribute("text", "a\ud800b")))
    assert seen.attributes[0].value.string_value == "a?b"
