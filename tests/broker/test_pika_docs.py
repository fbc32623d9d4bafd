"""The code of docs/pika.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mqtrace.testing import record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pika.md"


def test_the_blocks_run_one_after_another(rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", rabbitmq_url)
    names: dict[str, Any] = {}
    with record() as spans:
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            # the page's own tracer exports nothing
            exec(block.replace('mqtrace.configure("order-service", exporter="none:")', ""), names)
    processed = [span for span in spans if span.kind == "consumer"]
    assert [span.attributes.get("order") for span in processed] == ["42", None, None]
    assert [span.attributes["mqtrace.outcome"] for span in processed] == ["ack"] * 3
    assert {span.attributes["messaging.destination.name"] for span in spans} == {"orders"}
