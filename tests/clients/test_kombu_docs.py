"""The code of docs/kombu.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mqtrace import tracer as tracers
from mqtrace.testing import record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kombu.md"


def test_the_blocks_run_one_after_another() -> None:
    names: dict[str, Any] = {}
    before = tracers.default()
    with record() as spans:
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            # the page's own tracer exports nothing
            exec(block.replace('mqtrace.configure("order-service", exporter="none:")', ""), names)
        assert [span.attributes.get("order") for span in spans if span.kind == "consumer"] == [42, 43, None]
        assert [span.name for span in spans if span.kind == "producer"] == ["send shop:new"] * 2 + [
            "send letters:letters"
        ]
        assert len({span.trace_id for span in spans}) == 3
    assert tracers.default() is before
