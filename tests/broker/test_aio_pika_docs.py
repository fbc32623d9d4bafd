"""The program of docs/aio-pika.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mqtrace.testing import record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "aio-pika.md"


def test_the_program_has_a_span_a_message_with_its_outcome(rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", rabbitmq_url)
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    with record() as spans:
        # the page's own tracer exports nothing
        exec(program.replace('mqtrace.configure("order-service", exporter="none:")', ""), {})
    processed = [span for span in spans if span.kind == "consumer"]
    assert [span.attributes["order"] for span in processed] == ["42", "43", "44"]
    assert [span.attributes["mqtrace.outcome"] for span in processed] == ["ack", "ack", "reject"]
    assert {span.attributes["messaging.destination.name"] for span in spans} == {"aio-orders"}
    assert [span.parent_id for span in processed] == [span.span_id for span in spans if span.kind == "producer"]
