"""The short way to bytes, which spans of messages take. tests/export/test_encodings.py reads what it writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from mqtrace import core
from mqtrace.core import encode_message

Make = Callable[..., core.Template]
PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"

pytestmark = pytest.mark.skipif("MQTRACE_CORE" in os.environ, reason="how the core in Python does it")


def process(template: core.Template, make: Any = core.ProcessSpan) -> Any:
    return core.start_process(template, PARENT, None, None, 1, 2, 3, make)


@pytest.mark.parametrize("make", [core.SendSpan, core.DescribedSend])
def test_a_send_span_takes_it(template: Make, make: Any) -> None:
    span: Any = core.start_send(template(kind="producer"), make)
    if make is core.DescribedSend:
        span.describe({"key": "42"})
    span.delivered(1, 2)
    assert encode_message.pieces(span) is not None


@pytest.mark.parametrize("make", [core.ProcessSpan, core.DescribedProcess])
def test_the_child_of_its_message_takes_it(template: Make, make: Any) -> None:
    span = process(template(kind="consumer"), make)
    if make is core.DescribedProcess:
        span.describe({"key": "42", "count": 1})
    span.end()
    pieces = encode_message.pieces(span)
    assert pieces is not None
    assert core.encode_span(span) == b"".join(pieces)


def test_a_span_that_is_not_the_child_of_its_message_does_not(template: Make) -> None:
    span = process(template(kind="consumer", relation="link"))
    span.end()
    assert encode_message.pieces(span) is None


def test_a_span_by_hand_and_one_with_more_to_say_do_not(template: Make) -> None:
    by_hand: Any = core.start(template(), None, core.Span)
    sent: Any = core.start_send(template(kind="producer"))
    sent.set_attribute("amount", 12)
    for span in (by_hand, sent):
        span.end()
        assert encode_message.pieces(span) is None
