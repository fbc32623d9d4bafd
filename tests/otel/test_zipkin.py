"""Our Zipkin JSON, held against OpenTelemetry's own encoder field by field.

Where Zipkin or the specification wants something else than that encoder does, the difference is said here.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.zipkin.json.v2 import JsonV2Encoder
from opentelemetry.exporter.zipkin.node_endpoint import NodeEndpoint

from mqtrace import core
from mqtrace.otel.readable_span import Converter
from mqtrace.otlp import zipkin
from tests.export.conftest import Kept, Maker
from tests.export.test_encodings import messages_of, spans_of

# Libraries were called so before they were called scopes; the encoder says both.
_OLD_NAMES = ("otel.library.name", "otel.library.version")


def _as_json(text: str) -> Any:
    """JSON may be written in more than one way: they write only ASCII."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _theirs(span: core.Span) -> Any:
    (made,) = json.loads(JsonV2Encoder(0).serialize([Converter()(span)], NodeEndpoint()))
    tags = made["tags"]
    made["localEndpoint"] = {"serviceName": tags.pop("service.name")}  # which their exporter finds out by itself
    for name in _OLD_NAMES:
        del tags[name]
    tags.update({tag: _as_json(value) for tag, value in tags.items() if value.startswith("[")})
    # a duration and a time of 0 are no times to Zipkin
    made["timestamp"], made["duration"] = max(1, made["timestamp"]), max(1, made["duration"])
    # to Zipkin `debug` is more than sampled: it overrides every sampler behind it
    made.pop("debug", None)
    if made["kind"] is None:  # its older versions drop the message for a null
        del made["kind"]
    for annotation in made.get("annotations", ()):
        annotation["timestamp"] = max(1, annotation["timestamp"])
        ((name, attributes),) = json.loads(annotation["value"]).items()
        annotation["value"] = [name, sorted(attributes)]
    return made


def _ours(span: core.Span) -> Any:
    (made,) = json.loads(zipkin.encode([span]))
    tags = made["tags"]
    tags.update({tag: _as_json(value) for tag, value in tags.items() if value.startswith("[")})
    # they say neither links nor the state, and no other end
    for number in range(len(span.links)):
        del tags[f"link.{number}"]
    tags.pop("w3c.tracestate", None)
    made.pop("remoteEndpoint", None)
    if span.status == "error" and not span.status_description:
        tags["error"] = ""  # Zipkin's page shows an error by its text
    for annotation in made.get("annotations", ()):
        # the specification: the name alone, or `"name": {"key": "value"}`
        text = annotation["value"]
        event = json.loads(f"{{{text}}}") if text.endswith("}") and text.startswith('"') else {text: {}}
        ((name, attributes),) = event.items()
        assert all(isinstance(value, str) for value in attributes.values())
        annotation["value"] = [name, sorted(attributes)]
    return made


def _holds_only_text(span: core.Span) -> bool:
    """Bytes are a list to their encoder, which has no place for what is in it."""
    attributes = (span.attributes, *(event.attributes for event in span.events))
    return not any(
        isinstance(one, bytes)
        for held in attributes
        for value in held.values()
        for one in (value if isinstance(value, tuple) else (value,))
    )


@settings(max_examples=60)  # of the fields, the values and their encodings: no more is in a span
@given(st.data())
def test_opentelemetrys_zipkin_encoder_says_of_the_converted_span_what_ours_says_of_the_span(
    data: st.DataObject,
) -> None:
    maker = Maker(Kept())
    span = data.draw((spans_of(maker) | messages_of(maker)).filter(_holds_only_text))
    assert _ours(span) == _theirs(span)
