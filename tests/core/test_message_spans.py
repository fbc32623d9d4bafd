"""What a send, a process and a batch span have beyond a span: reports, and what a client adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core

Make = Callable[..., core.Template]
PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
DESCRIBED = [core.DescribedSend, core.DescribedProcess]


def started(template: core.Template, make: type[Any]) -> Any:
    if issubclass(make, core.SendSpan):
        return core.start_send(template, make)
    return core.start_process(template, PARENT, None, None, -1, -1, -1, make)


def encoded(span: Any) -> dict[str, Any]:
    """The attributes that whoever reads the span's bytes sees."""
    read = trace_pb2.Span.FromString(core.encode_span(span))
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in read.attributes}


def test_a_delivered_message_says_where_it_is(template: Make, recorder: Any) -> None:
    span = started(template(), core.SendSpan)
    span.delivered(3, 0)
    assert recorder.queue == [span]
    assert span.attributes == {"messaging.destination.partition.id": "3", "messaging.kafka.offset": 0}
    assert span.status == "unset"


def test_a_broker_may_say_no_more_than_that_it_has_it(template: Make, recorder: Any) -> None:
    span = started(template(), core.SendSpan)
    span.delivered()
    assert recorder.queue == [span]
    assert not span.attributes


def test_a_failed_message_says_why(template: Make, recorder: Any) -> None:
    span = started(template(), core.SendSpan)
    span.failed("_MSG_TIMED_OUT", "Local: Message timed out")
    assert recorder.queue == [span]
    assert (span.status, span.status_description) == ("error", "Local: Message timed out")
    assert span.attributes == {"error.type": "_MSG_TIMED_OUT"}


def test_the_first_report_holds_and_a_second_is_no_mistake(
    template: Make, recorder: Any, pipeline: core.Pipeline
) -> None:
    span = started(template(), core.SendSpan)
    span.delivered(1, 2)
    span.failed("late", "")
    span.delivered(8, 9)
    assert recorder.queue == [span]
    assert (span.partition, span.offset, span.status) == (1, 2, "unset")
    assert pipeline.counters.calls_ignored == 0


@pytest.mark.parametrize("make", DESCRIBED)
def test_what_a_client_adds_is_read_and_encoded(template: Make, make: type[Any]) -> None:
    span = started(template("send orders", "producer", {"messaging.system": "kafka"}), make)
    span.describe({"key": "42", "count": 3})
    span.end()
    assert span.attributes == {"messaging.system": "kafka", "key": "42", "count": 3} == encoded(span)


@pytest.mark.parametrize("make", DESCRIBED)
def test_what_a_client_adds_takes_no_span_off_the_fast_path(template: Make, make: type[Any]) -> None:
    span = started(template(), make)
    span.describe({"key": "42"})
    assert span.details is None


@pytest.mark.parametrize("make", DESCRIBED)
@pytest.mark.parametrize("value", ["x" * 300, b"x" * 300, ("a", "b")])
def test_what_is_long_is_weighed_as_every_attribute(template: Make, make: type[Any], value: Any) -> None:
    span = started(template(), make)
    span.describe({"key": value})
    assert span.details.weight > 0
    assert span.attributes == {"key": value}


@pytest.mark.parametrize("make", DESCRIBED)
def test_a_limit_of_length_holds_for_what_a_client_adds(pipeline: core.Pipeline, template: Make, make: Any) -> None:
    pipeline.limits.value_length = 3
    span = started(template(), make)
    span.describe({"key": "abcdef"})
    assert span.attributes == {"key": "abc"}


@pytest.mark.parametrize("make", DESCRIBED)
def test_the_users_own_attribute_wins_over_the_clients(template: Make, make: type[Any]) -> None:
    span = started(template(), make)
    span.describe({"key": "the client's", "count": 3})
    span.set_attribute("key", "the user's")
    span.end()
    assert span.attributes == {"key": "the user's", "count": 3} == encoded(span)


@pytest.mark.parametrize("make", [*DESCRIBED, core.SendSpan, core.ProcessSpan])
def test_every_span_of_a_message_can_be_described(template: Make, make: type[Any]) -> None:
    span = started(template(), make)
    assert not span.attributes
    span.describe({"key": "42"})
    assert span.attributes == {"key": "42"}


def test_spans_without_attributes_of_their_own_are_no_larger_for_it() -> None:
    assert core.DescribedSend.__basicsize__ - core.SendSpan.__basicsize__ == 8
    assert core.SendSpan.__basicsize__ == core.MessageSpan.__basicsize__
