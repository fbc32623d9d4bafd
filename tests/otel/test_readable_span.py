"""Our spans as the SDK's, held against our own encoding by OpenTelemetry's encoder."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core
from mqtrace.otel.readable_span import Converter
from tests.export.conftest import Kept, Maker
from tests.export.test_encodings import messages_of, spans_of

#: One for all examples: it keeps what it has made of an operation.
CONVERT = Converter()


def _sorted(data: Any) -> Any:
    """Without the order of attributes, which says nothing."""
    for resource in data.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                for holder in (span, *span.events, *span.links):
                    attributes = sorted(holder.attributes, key=lambda pair: pair.key)
                    del holder.attributes[:]
                    holder.attributes.extend(attributes)
                # What the SDK's encoder leaves out: the trace flags, a link's state, a status that says nothing.
                span.flags &= ~0xFF
                for link in span.links:
                    link.flags &= ~0xFF
                    link.trace_state = ""
                if not span.status.ByteSize():
                    span.ClearField("status")
    return data


@given(st.data())
def test_opentelemetrys_encoder_says_of_the_converted_span_what_ours_says_of_the_span(data: st.DataObject) -> None:
    maker = Maker(Kept())
    span = data.draw(spans_of(maker) | messages_of(maker))
    theirs = trace_pb2.TracesData.FromString(encode_spans([CONVERT(span)]).SerializeToString())
    ours = trace_pb2.TracesData.FromString(core.request([span]))
    if span.trace_state and "," in span.trace_state:
        assert sorted(span.trace_state.split(",")) == sorted(
            theirs.resource_spans[0].scope_spans[0].spans[0].trace_state.split(",")
        )
    assert str(_sorted(theirs)) == str(_sorted(ours))


def test_what_is_not_unicode_in_an_attribute_of_a_message_is_a_question_mark_to_them_too() -> None:
    maker = Maker(Kept())
    span = core.start(maker.template("send orders", "producer", {"to\udbb1": "a\udbb1"}), None, core.DescribedSend)
    assert isinstance(span, core.DescribedSend)
    span.partition = span.offset = -1
    span.describe({"id\udbb1": "b\udbb1"})
    span.end()
    (sent,) = encode_spans([Converter()(span)]).resource_spans[0].scope_spans[0].spans
    said = {pair.key: pair.value.string_value for pair in sent.attributes}
    assert (said["to?"], said["id?"]) == ("a?", "b?")


def test_what_was_made_of_an_operation_is_kept_unless_its_name_is_long() -> None:
    maker = Maker(Kept())
    kept = []
    for length in (10, 1_000_000):
        span = core.start(maker.template("n" * length, "producer", {}), None, core.SendSpan)
        assert isinstance(span, core.SendSpan)
        span.partition = span.offset = -1
        span.end()
        convert = Converter()
        before = sys.getrefcount(span.template)
        assert convert(span).name == span.name
        kept.append(sys.getrefcount(span.template) - before)
    assert kept == [1, 0]
