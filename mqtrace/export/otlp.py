"""OTLP in protobuf: the core's own encoding, where the templates' bytes are."""

from __future__ import annotations

from mqtrace.core import request as encode

__all__ = ["encode"]
