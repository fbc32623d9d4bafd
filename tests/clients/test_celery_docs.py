"""The code of docs/celery.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from celery import _state  # type: ignore[import-untyped]  # Celery ships no types

import mqtrace
from mqtrace.testing import record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "celery.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the page stands in the checkout")
def test_the_blocks_run_one_after_another() -> None:
    names: dict[str, Any] = {"__name__": "shop"}
    shared = set(_state._on_app_finalizers)
    try:
        with record() as spans:
            for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
                # the page's own tracer exports nothing
                exec(block.replace('mqtrace.configure("order-service", exporter="none:")', ""), names)
    finally:
        mqtrace.uninstrument_celery()
        # its tasks are shared with every app that another test makes, and may stand there before that one's own
        _state._on_app_finalizers.intersection_update(shared)
    assert [span.name for span in spans] == ["send shop.charge"]
    assert names["states"] == ["RETRY", "RETRY", "SUCCESS"]
