"""B3, Jaeger, Datadog and X-Ray: what each reads, refuses and writes."""

from __future__ import annotations

from typing import Any

import pytest

from mqtrace.carriers import HttpHeaders
from mqtrace.core import Context
from mqtrace.propagation import from_names

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ON, OFF = f"00-{TRACE}-{SPAN}-01".encode(), f"00-{TRACE}-{SPAN}-00".encode()
SHORT = f"00-{'0' * 16}8448eb211c80319c-{SPAN}-01".encode()
LOW, SPAN_NUMBER = str(int(TRACE[16:], 16)), str(int(SPAN, 16))
DEFERRED = Context(OFF, decision="defer")


@pytest.mark.parametrize("name", ["b3", "b3multi"])
@pytest.mark.parametrize(
    ("headers", "context"),
    [
        ({"b3": f"{TRACE}-{SPAN}-1"}, Context(ON)),
        ({"b3": f"{TRACE}-{SPAN}-1-{'1' * 16}"}, Context(ON)),
        ({"b3": f"{TRACE}-{SPAN}-d"}, Context(ON)),
        ({"b3": f"{TRACE}-{SPAN}-0"}, Context(OFF)),
        ({"b3": f"{TRACE}-{SPAN}"}, DEFERRED),
        ({"b3": f"{TRACE.upper()}-{SPAN}-1"}, Context(ON)),
        ({"b3": f"{TRACE[16:]}-{SPAN}-1"}, Context(SHORT)),
        ({"b3": "0"}, Context(decision="deny")),
        ({"b3": "1"}, Context(decision="accept")),
        ({"b3": "d"}, Context(decision="accept")),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"}, Context(ON)),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "0"}, Context(OFF)),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "true"}, Context(ON)),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"}, Context(ON)),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN}, DEFERRED),
        ({"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": "1"}, Context(ON)),
        ({"x-b3-sampled": "0"}, Context(decision="deny")),
        ({"x-b3-flags": "1"}, Context(decision="accept")),
        ({"x-b3-parentspanid": SPAN}, Context()),
        ({}, Context()),
    ],
)
def test_b3_reads(name: str, headers: dict[str, str], context: Context, read: Any) -> None:
    assert read(name, headers) == (context, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": ""},
        {"b3": "x"},
        {"b3": f"{TRACE}-{SPAN}-2"},
        {"b3": f"{TRACE}-{SPAN}-1-1"},
        {"b3": f"{TRACE}-{SPAN}-1\n"},
        {"b3": f"{'0' * 32}-{SPAN}-1"},
        {"b3": f"{TRACE}-{'0' * 16}-1"},
        {"b3": f"{TRACE[:20]}-{SPAN}-1"},
        {"b3": 5},
        {"x-b3-traceid": TRACE},
        {"x-b3-spanid": SPAN},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN * 2},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "maybe"},
        {"x-b3-traceid": b"\xff", "x-b3-spanid": SPAN},
    ],
)
def test_b3_refuses(headers: dict[str, Any], read: Any) -> None:
    assert read("b3", headers) == (Context(), 1)


def test_a_malformed_b3_falls_back_to_the_several_headers_and_is_counted(read: Any) -> None:
    several = {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"}
    assert read("b3", {"b3": "broken", **several}) == (Context(ON), 1)
    assert read("b3", {"b3": f"{TRACE}-{SPAN}-0", **several}) == (Context(OFF), 0)


def test_b3_writes(written: Any) -> None:
    several = {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN}
    assert written("b3", Context(ON)) == {"b3": f"{TRACE}-{SPAN}-1"}
    assert written("b3", Context(OFF)) == {"b3": f"{TRACE}-{SPAN}-0"}
    assert written("b3", DEFERRED) == {"b3": f"{TRACE}-{SPAN}"}
    assert written("b3multi", Context(ON)) == {**several, "x-b3-sampled": "1"}
    assert written("b3multi", DEFERRED, {"x-b3-sampled": "1", "x-b3-flags": "1"}) == several
    assert written("b3,b3multi", Context(OFF)) == {"b3": f"{TRACE}-{SPAN}-0", **several, "x-b3-sampled": "0"}
    assert written("b3multi,b3", Context(OFF)) == {"b3": f"{TRACE}-{SPAN}-0", **several, "x-b3-sampled": "0"}


def test_b3_leaves_no_header_of_another_span_behind(written: Any) -> None:
    stale = {"b3": f"{'1' * 32}-{'1' * 16}-1", "X-B3-TraceId": "1" * 32, "x-b3-spanid": "1" * 16}
    assert written("b3", Context(ON), stale) == {"b3": f"{TRACE}-{SPAN}-1"}
    assert written("b3multi", Context(ON), stale) == written("b3multi", Context(ON))


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        (f"{TRACE}:{SPAN}:0:1", ON),
        (f"{TRACE}:{SPAN}:{'0' * 16}:00", OFF),
        (f"{TRACE}:{SPAN}:{SPAN}:03", ON),
        (f"{TRACE}:{SPAN}:0:2", ON),
        (f"{TRACE[1:]}:{SPAN}:0:1", ON),
        (f"{TRACE}:{SPAN}::1", ON),
        (f"{TRACE}%3A{SPAN}%3a0%3A1", ON),
        (f"{TRACE[16:]}:{SPAN}:0:1", SHORT),
        ("1:2:0:1", f"00-{'1':>032}-{'2':>016}-01".encode()),
    ],
)
def test_jaeger_reads(text: str, identity: bytes, read: Any) -> None:
    assert read("jaeger", {"uber-trace-id": text}) == (Context(identity), 0)


@pytest.mark.parametrize(
    "text", ["", "x", f"{TRACE}:{SPAN}:0", f"0:{SPAN}:0:1", f"{TRACE}:0:0:1", f"1{TRACE}:{SPAN}:0:1", "g:1:0:1", None]
)
def test_jaeger_refuses(text: Any, read: Any) -> None:
    assert read("jaeger", {"uber-trace-id": text}) == (Context(), 1)


def test_jaeger_carries_baggage(read: Any, written: Any) -> None:
    context = Context(ON, baggage={"user": "grün %", "b": "2"})
    headers = written("jaeger", context)
    assert headers == {"uber-trace-id": f"{TRACE}:{SPAN}:0:01", "uberctx-user": "gr%C3%BCn%20%25", "uberctx-b": "2"}
    assert read("jaeger", headers) == (context, 0)


@pytest.mark.parametrize(
    ("headers", "context"),
    [
        ({"x-datadog-sampling-priority": "1", "x-datadog-tags": f"_dd.p.dm=-4,_dd.p.tid={TRACE[:16]}"}, Context(ON)),
        ({"x-datadog-sampling-priority": "2"}, Context(SHORT)),
        ({"x-datadog-sampling-priority": "-1", "x-datadog-tags": f"_dd.p.tid={TRACE[:16]}"}, Context(OFF)),
        ({"x-datadog-tags": f"_dd.p.tid={TRACE[:16]}"}, DEFERRED),
    ],
)
def test_datadog_reads(headers: dict[str, str], context: Context, read: Any) -> None:
    ids = {"x-datadog-trace-id": LOW, "x-datadog-parent-id": SPAN_NUMBER}
    assert read("datadog", {**ids, **headers}) == (context, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"x-datadog-trace-id": "0"},
        {"x-datadog-trace-id": "-1"},
        {"x-datadog-trace-id": str(2**64)},
        {"x-datadog-trace-id": "\u0663"},
        {"x-datadog-trace-id": "9" * 5000},
        {"x-datadog-parent-id": "0"},
        {"x-datadog-parent-id": "ab"},
        {"x-datadog-parent-id": None},
        {"x-datadog-sampling-priority": "high"},
    ],
)
def test_datadog_refuses(changed: dict[str, Any], read: Any) -> None:
    headers = {"x-datadog-trace-id": LOW, "x-datadog-parent-id": SPAN_NUMBER, **changed}
    assert read("datadog", headers) == (Context(), 1)


def test_datadog_with_a_malformed_high_half_keeps_the_low_one_and_is_counted(read: Any) -> None:
    headers = {"x-datadog-trace-id": LOW, "x-datadog-parent-id": SPAN_NUMBER, "x-datadog-sampling-priority": "1"}
    assert read("datadog", {**headers, "x-datadog-tags": "_dd.p.tid=xyz"}) == (Context(SHORT), 1)


def test_datadog_writes(written: Any) -> None:
    ids = {"x-datadog-trace-id": LOW, "x-datadog-parent-id": SPAN_NUMBER}
    tags = {"x-datadog-tags": f"_dd.p.tid={TRACE[:16]}"}
    assert written("datadog", Context(ON)) == {**ids, "x-datadog-sampling-priority": "1", **tags}
    assert written("datadog", Context(SHORT), tags) == {**ids, "x-datadog-sampling-priority": "1"}
    assert written("datadog", DEFERRED, {"x-datadog-sampling-priority": "1"}) == {**ids, **tags}


ROOT = f"Root=1-{TRACE[:8]}-{TRACE[8:]}"


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (f"{ROOT};Parent={SPAN};Sampled=1", Context(ON)),
        (f"Sampled=0;Parent={SPAN};{ROOT}", Context(OFF)),
        (f"Self=1-1-1; Parent={SPAN} ;{ROOT}; Sampled=1;Lineage=a:1", Context(ON)),
        (f"{ROOT};Parent={SPAN}", DEFERRED),
        (f"{ROOT};Parent={SPAN};Sampled=?", DEFERRED),
        (ROOT, Context()),
        (f"{ROOT};Sampled=0", Context(decision="deny")),
        (f"{ROOT};Sampled=1", Context(decision="accept")),
    ],
)
@pytest.mark.parametrize("name", ["X-Amzn-Trace-Id", "x-amzn-trace-id"])
def test_xray_reads(name: str, text: str, context: Context, read: Any) -> None:
    assert read("xray", {name: text}) == (context, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"Parent={SPAN};Sampled=1",
        f"{ROOT};Parent=1;Sampled=1",
        f"{ROOT};Parent={'0' * 16}",
        f"{ROOT};Parent={SPAN};Sampled=2",
        f"Root=2-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN}",
    ],
)
def test_xray_refuses(text: str, read: Any) -> None:
    assert read("xray", {"X-Amzn-Trace-Id": text}) == (Context(), 1)


def test_xray_writes(written: Any) -> None:
    assert written("xray", Context(ON)) == {"X-Amzn-Trace-Id": f"{ROOT};Parent={SPAN};Sampled=1"}
    assert written("xray", DEFERRED, {"x-amzn-trace-id": "old"}) == {"X-Amzn-Trace-Id": f"{ROOT};Parent={SPAN}"}


@pytest.mark.parametrize("name", ["b3", "b3multi", "jaeger", "xray", "datadog"])
@pytest.mark.parametrize("context", [Context(ON), Context(OFF), Context(SHORT)])
def test_what_is_written_is_read_also_over_http(name: str, context: Context) -> None:
    carrier = HttpHeaders({"REQUEST_METHOD": "GET"})
    from_names(name).inject(carrier, context)
    assert from_names(name).extract(carrier) == context


@pytest.mark.parametrize("name", ["b3", "b3multi", "jaeger", "xray", "datadog"])
def test_without_an_identity_nothing_is_touched(name: str, written: Any) -> None:
    stale = {"b3": "0", "x-b3-traceid": TRACE, "uber-trace-id": "x", "x-datadog-tags": "a", "X-Amzn-Trace-Id": "b"}
    assert written(name, Context(decision="deny"), stale) == stale
