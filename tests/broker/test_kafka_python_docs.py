"""The code of docs/kafka-python.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mqtrace.testing import record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kafka-python.md"


def test_the_blocks_run_one_after_another(kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("TOPIC", topic)
    names: dict[str, Any] = {}
    with record() as spans:
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            # the page's own tracer exports nothing
            exec(block.replace('mqtrace.configure("order-service", exporter="none:")', ""), names)
    assert [span.name for span in spans if span.kind == "producer"] == [f"send {topic}"] * 2
    processed = [span for span in spans if span.kind == "consumer"]
    assert [span.attributes.get("order") for span in processed] == ["42", None]
    assert [span.attributes["messaging.consumer.group.name"] for span in processed] == [topic] * 2
