"""A trace that would be too large for a browser."""

from __future__ import annotations

import copy
import json
from typing import Any

from mqtrace.flow import Scope, TraceAnswer
from mqtrace.flow.fake import Fake
from mqtrace.flow.page.light import lightened


def _trace(spans: int, attribute: Any) -> TraceAnswer:
    source = Fake(trace_spans=spans)
    trace = source.trace(source.traces(Scope())[0]["trace_id"])
    assert trace is not None
    for span in trace["spans"]:
        span["attributes"] = {"body": attribute, "order.id": 42}
    return trace


def test_a_trace_of_the_common_kind_is_as_it_was() -> None:
    trace = _trace(1_000, "x" * 1_000)
    before = copy.deepcopy(trace)
    assert lightened(trace) == before


def test_what_is_beyond_the_limit_is_cut_and_says_so() -> None:
    trace = _trace(300, "x" * 65_536)
    light = lightened(trace)
    assert len(json.dumps(light)) < 17_000_000
    assert [span["span_id"] for span in light["spans"]] == [span["span_id"] for span in trace["spans"]]
    bodies = [span["attributes"]["body"] for span in light["spans"]]
    assert bodies[0] == "x" * 65_536
    assert bodies[-1] == "x" * 256 + "... (cut at 256 characters, as the whole trace has more than 16 MB)"
    assert all(span["attributes"]["order.id"] == 42 for span in light["spans"])


def test_texts_within_lists_and_maps_count_too() -> None:
    light = lightened(_trace(5, {"a": ["y" * 4_000] * 3}), most=20_000)
    sizes = [len(json.dumps(span["attributes"])) for span in light["spans"]]
    assert sizes[0] > 12_000
    assert max(sizes[1:]) < 1_100


def test_the_source_s_own_answer_is_not_changed() -> None:
    trace = _trace(5, "z" * 65_536)
    before = copy.deepcopy(trace)
    lightened(trace, most=10)
    assert trace == before
