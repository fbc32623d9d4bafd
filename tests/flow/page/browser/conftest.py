"""Sources whose answers a test says by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from mqtrace.flow import TraceAnswer, TraceSpan
from mqtrace.flow.fake import Fake

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class OneTrace(Fake):
    """A shop, and one trace that a test has made."""

    def __init__(self, spans: list[dict[str, Any]], **answer: Any) -> None:
        super().__init__()
        self._made = cast(
            TraceAnswer,
            {
                "trace_id": TRACE_ID,
                "root": spans[0]["name"],
                "start": "2026-11-29T12:00:00.000000Z",
                "duration_ms": 100.0,
                "services": ["front"],
                "errors": sum(span["status"] == "error" for span in spans),
                "spans": spans,
                "omitted": 0,
                **answer,
            },
        )

    def trace(self, trace_id: str) -> TraceAnswer | None:
        return self._made if trace_id == TRACE_ID else None


@pytest.fixture
def span() -> Callable[..., dict[str, Any]]:
    """``span(**what)``: a span of that trace, with these members."""
    number = 0

    def make(**what: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        made: TraceSpan = {
            "trace_id": TRACE_ID,
            "span_id": f"{number:016x}",
            "parent_id": None,
            "service": "front",
            "name": "work",
            "kind": "internal",
            "start": "2026-11-29T12:00:00.000000Z",
            "duration_ms": 10.0,
            "attributes": {},
            "offset_ms": 0.0,
            "start_ns": 1_795_953_600_000_000_000,
            "status": "unset",
            "error": None,
            "status_description": None,
            "destination": None,
            "partition": None,
            "wait_ms": None,
            "wait_measured": False,
            "guest": False,
            "retry": 0,
            "dead_letter": False,
            "batch": None,
            "events": [],
            "links": [],
            "trace_state": None,
        }
        return {**made, **what}

    return make


@pytest.fixture
def one_trace() -> Callable[..., tuple[Fake, str]]:
    """``one_trace(spans, **answer)``: a source that has it, and its address."""

    def make(spans: list[dict[str, Any]], **answer: Any) -> tuple[Fake, str]:
        return OneTrace(spans, **answer), f"/trace/{TRACE_ID}"

    return make
