"""Zipkin's JSON v2: a list of spans (zipkin2-api.yaml).

Zipkin drops the whole message for one invalid span, so every rule is kept here: kind in capitals and absent for an
internal span, whole microseconds, a duration of at least one, only text in tags, ids in lowercase. ``localEndpoint`` is
always there: a span without it, ``remoteEndpoint`` and tags is taken for v1.

Fields that Zipkin lacks are tags with OpenTelemetry's names (specification, "Mapping to non-OTLP Formats"): the
resource, the scope, the status, how much was dropped; lists as JSON, bytes in base64.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Sequence
from typing import Any, Final

from mqtrace.core import SCOPE_NAME, Attribute, Event, Span
from mqtrace.version import VERSION

__all__ = ["encode"]

_DROPPED: Final = ("otel.dropped_attributes_count", "otel.dropped_events_count", "otel.dropped_links_count")
_KINDS: Final = {"producer": "PRODUCER", "consumer": "CONSUMER", "client": "CLIENT", "server": "SERVER"}


def encode(spans: Sequence[Span]) -> bytes:
    """Spans as a JSON list, in UTF-8."""
    # The tags that the spans of a tracer share, by the identity of their resource.
    shared: dict[int, dict[str, str]] = {}
    encoded = []
    for span in spans:
        common = shared.get(id(span.resource))
        if common is None:
            common = shared[id(span.resource)] = _common(span)
        encoded.append(_span(span, common))
    return json.dumps(encoded, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _common(span: Span) -> dict[str, str]:
    """The tags of a resource and of our scope; the service's name is the local endpoint."""
    tags = {key: _text(value) for key, value in span.resource.items() if key != "service.name"}
    return {**tags, "otel.scope.name": SCOPE_NAME, "otel.scope.version": VERSION}


def _span(span: Span, common: dict[str, str]) -> dict[str, Any]:
    start = _us(span.start_time)
    attributes = span.attributes
    tags = {**common, **{key: _text(value) for key, value in attributes.items()}}
    if span.status != "unset":
        tags["otel.status_code"] = span.status.upper()
    if span.status == "error":
        tags["error"] = span.status_description or str(attributes.get("error.type") or "true")
    details = span.details
    if details is not None:
        dropped = (details.dropped_attributes, details.dropped_events, details.dropped_links)
        for what, count in zip(_DROPPED, dropped, strict=True):
            if count:
                tags[what] = str(count)
    if span.trace_state:
        tags["w3c.tracestate"] = span.trace_state
    for number, link in enumerate(span.links):
        # Zipkin has no links, so they are tags
        tags[f"link.{number}"] = f"{link.context.trace_id}/{link.context.span_id}"
    out: dict[str, Any] = {
        "traceId": span.trace_id,
        "id": span.span_id,
        "name": span.name,
        "timestamp": max(1, start),
        "duration": max(1, _us((span.end_time or span.start_time) - span.start_time)),
        "localEndpoint": {"serviceName": span.service},
        "tags": tags,
    }
    if span.parent_id is not None:
        out["parentId"] = span.parent_id
    kind = _KINDS.get(span.kind)
    if kind is not None:
        out["kind"] = kind
    remote = _remote(span)
    if remote is not None:
        out["remoteEndpoint"] = remote
    if span.events:
        out["annotations"] = [
            {"timestamp": max(1, _us(event.timestamp)), "value": _event(event)} for event in span.events
        ]
    return out


def _us(nanoseconds: int) -> int:
    return (nanoseconds + 500) // 1000


def _remote(span: Span) -> dict[str, Any] | None:
    """The broker, or another server that the attributes name."""
    attributes = span.attributes
    address = attributes.get("server.address")
    name = attributes.get("messaging.system") or address
    if not name or span.kind == "internal":
        return None
    endpoint: dict[str, Any] = {"serviceName": _text(name)}
    try:
        version = ipaddress.ip_address(address).version if isinstance(address, str) else 0
    except ValueError:
        version = 0  # a name, for which an endpoint has no place: it is among the tags
    if version:
        endpoint[f"ipv{version}"] = address
    port = attributes.get("server.port")
    if isinstance(port, int) and 0 < port < 65536:
        endpoint["port"] = port
    return endpoint


def _event(event: Event) -> str:
    """As OpenTelemetry's Zipkin exporters write it: the name, and the attributes, if there are any, as JSON."""
    if not event.attributes:
        return event.name
    attributes = {key: _text(value) for key, value in event.attributes.items()}
    return f"{json.dumps(event.name, ensure_ascii=False)}: {json.dumps(attributes, ensure_ascii=False)}"


def _text(value: Attribute) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return json.dumps([_text(item) for item in value], ensure_ascii=False, separators=(",", ":"))
    return str(value)
