"""Headers that no honest producer writes. None says that its trace is not sampled, so each message makes a span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["HOSTILE", "HOSTILE_NAMES", "Headers"]

Headers = Sequence[tuple[str, str | bytes | None]]

_GOOD: Final = ("traceparent", b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01")

HOSTILE: Final[Sequence[Headers]] = (
    [("traceparent", b"\xff\xfe")],
    [("traceparent", None), ("tracestate", None), ("baggage", None)],
    [("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01")],
    [("traceparent", b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01-surplus")],
    [("traceparent", b"x" * 300_000)],
    [_GOOD, ("tracestate", b"," * 300_000)],
    [_GOOD, ("tracestate", b",".join(b"k%d=v" % number for number in range(20_000)))],
    [_GOOD, ("baggage", b",".join(b"k%d=%%ff;p" % number for number in range(20_000)))],
    [_GOOD, ("tracestate", "ot=th:zz;rv:\x00,mqtrace=\ud7ff".encode())],
    [("uber-trace-id", b"0" * 300_000), ("uberctx-\U0001f355", b"v")],
    [("b3", b"-" * 1_000), ("x-b3-traceid", b"z" * 32), ("x-b3-spanid", b"")],
    [("x-amzn-trace-id", b"Root=1;Parent=;Sampled=?"), ("x-datadog-trace-id", b"9" * 400)],
    [_GOOD] * 500,
    [(f"uberctx-{number}", b"v") for number in range(5_000)],
)

#: Names of headers that are not UTF-8: of such headers confluent-kafka raises once, and returns a list with a null
#: pointer in it from then on.
HOSTILE_NAMES: Final = (b"\xff\xfe", b"traceparent\xff", b"\xed\xa0\x80", b"\xc3(" * 1_000)
