"""The encodings of spans, by name. Every transport takes each of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mqtrace.core import Span, request
from mqtrace.errors import ConfigurationError
from mqtrace.otlp import write_json, zipkin

__all__ = ["ENCODINGS", "Encoding", "named"]


@dataclass(frozen=True)
class Encoding:
    """One way to write spans. ``encode`` may raise for a span that cannot be written."""

    name: str
    encode: Callable[[Sequence[Span]], bytes]
    #: The media type of an HTTP request's body.
    content_type: str
    #: Whether the encoded spans may hold any byte, so that a file separates batches by lengths, not by line breaks.
    is_binary: bool = False
    #: Whether an HTTP receiver answers with OTLP's messages.
    is_otlp: bool = True


ENCODINGS: Final[Mapping[str, Encoding]] = {
    encoding.name: encoding
    for encoding in (
        Encoding("otlp_proto", request, "application/x-protobuf", is_binary=True),
        Encoding("otlp_json", write_json.encode, "application/json"),
        Encoding("zipkin_json", zipkin.encode, "application/json", is_otlp=False),
    )
}


def named(name: str) -> Encoding:
    """The encoding of this name. ConfigurationError for an unknown one."""
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise ConfigurationError(f"encoding={name[:40]!r} is unknown: write {', '.join(ENCODINGS)}")
    return encoding
