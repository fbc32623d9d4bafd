"""The body of a receiver's answer: how many spans it did not take, and why.

ExportTraceServiceResponse (opentelemetry/proto/collector/trace/v1/trace_service.proto): 1 partial_success, in it 1
rejected_spans and 2 error_message. A refusal is a google.rpc.Status: 2 message. As JSON where the request was JSON.
Anything may stand there, so nothing here raises.
"""

from __future__ import annotations

import json
from typing import Any, Final

from mqtrace.otlp.wire import BYTES, VARINT, Malformed, fields

from .http_connection import Answer

__all__ = ["message", "partial_success", "printable"]

_MOST_SHOWN: Final = 200


def partial_success(answer: Answer) -> tuple[int, str]:
    """How many spans the receiver rejected, and its message; 0 and "" if it took all."""
    if not answer.body:
        return 0, ""
    if _is_json(answer):
        partial = _object(_object(_json(answer.body)).get("partialSuccess"))
        count = partial.get("rejectedSpans")
        text = partial.get("errorMessage")
        return _count(count), printable(text) if isinstance(text, str) else ""
    rejected, error_message = 0, ""
    try:
        for number, wire, value in fields(answer.body):
            if (number, wire) != (1, BYTES):
                continue
            for inner, inner_wire, content in fields(value):
                if (inner, inner_wire) == (1, VARINT):
                    rejected = content if content < 1 << 63 else 0
                elif (inner, inner_wire) == (2, BYTES):
                    error_message = printable(content.decode("utf-8", "replace"))
    except Malformed:
        return 0, ""
    return rejected, error_message


def message(answer: Answer) -> str:
    """Why a receiver did not take a request, in one line of its words; "" if there is nothing readable."""
    body = answer.body
    if _is_json(answer):
        text = _object(_json(body)).get("message")
        return printable(text) if isinstance(text, str) else ""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("application/x-protobuf"):
        try:
            for number, wire, value in fields(body):
                if (number, wire) == (2, BYTES):
                    return printable(value.decode("utf-8", "replace"))
        except Malformed:
            pass
        return ""
    return printable(body[: 4 * _MOST_SHOWN].decode("utf-8", "replace")) if kind.startswith("text/plain") else ""


def printable(text: str) -> str:
    """The text in one line of bounded length, without characters that a terminal obeys."""
    line = " ".join(text[: 4 * _MOST_SHOWN].split())
    return "".join(character if character.isprintable() else "?" for character in line)[:_MOST_SHOWN]


def _is_json(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").startswith("application/json")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    # proto3 JSON mapping: a 64-bit number is text, and readers take a number as well
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
