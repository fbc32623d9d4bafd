"""The hot path, where spans of messages start, agrees with the long way round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mqtrace import core

Make = Callable[..., core.Template]
PARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16


def test_a_decision_that_was_left_open_is_made_by_the_sampler_when_a_message_is_sent(template: Make) -> None:
    token = core.attach(core.Context(PARENT + b"-00", decision="defer"))
    try:
        span = core.start_send(template("send orders", "producer"))
    finally:
        core.detach(token)
    assert isinstance(span, core.SendSpan)
    assert (span.trace_id, span.parent_id, span.identity[53:]) == ("a" * 32, "b" * 16, b"01")


@pytest.mark.parametrize("local", [True, False])
def test_a_send_span_knows_whether_its_parent_is_of_another_process(template: Make, local: bool) -> None:
    context = core.Context(PARENT + b"-01")
    parent: Any = core.start(template(), context, core.Span) if local else context
    token = core.attach(parent)
    try:
        span = core.start_send(template("send orders", "producer"))
    finally:
        core.detach(token)
    assert isinstance(span, core.SendSpan)
    assert span.parent_remote is not local
