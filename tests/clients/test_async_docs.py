"""The programs of docs/aiokafka.md and docs/confluent-aio.md do what the pages say."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from mqtrace.testing import record

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONFIGURED = 'mqtrace.configure("order-service", exporter="none:")'


@pytest.mark.parametrize(
    ("page", "names", "orders"),
    [
        ("aiokafka", ["send", "create", "send", "process", "process"], ["42", "43"]),
        ("confluent-aio", ["send", "process"], ["42"]),
    ],
)
def test_the_program_runs_as_it_stands(
    page: str, names: list[str], orders: list[str], cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"docs-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("KAFKA_BOOTSTRAP", cluster)
    monkeypatch.setenv("TOPIC", topic)
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert CONFIGURED in program
    space: dict[str, Any] = {}
    with record() as spans:
        # the tests' tracer stands for the page's own
        exec(program.replace(CONFIGURED, ""), space)
    assert [span.name.partition(" ")[0] for span in spans] == names
    assert sorted(span.attributes["order"] for span in spans if span.kind == "consumer") == orders  # of any partition
