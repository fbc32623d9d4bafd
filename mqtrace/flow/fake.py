"""A source of made-up answers, to draw them: nothing is read, and the same seed makes the same rows.

``Fake()`` is a shop of eight services with errors, retries, dead letters and missing messages; ``Fake(services=50)`` a
large one, ``Fake(trace_spans=1_000)`` has long traces, ``Fake(hostile=True)`` names that nobody should interpret.
``fake.changes`` replaces members of its state: ``Fake(changes={"sampled": 0.0})``, ``{"trouble": "..."}``,
``{"behind": 120_000}``. ``Fake(services=0)`` is empty. Filters hold as those of a true source do.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from .answers import (
    ErrorRow,
    FailureRow,
    FlowRow,
    Map,
    MissingRow,
    ReceivedRow,
    SentRow,
    State,
    StepRow,
    TraceAnswer,
    TraceRow,
    TraceSpan,
)
from .scope import Scope
from .source import STATES, TracesOrder
from .trouble import SourceError

__all__ = ["Fake"]

_NAMES: Final = ("front", "payments", "shipping", "receipts", "mail", "stock", "audit", "search")
_HOSTILE: Final = (
    "<img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "a\nb\tc",
    "'; DROP TABLE spans; --",
)
_SYSTEMS: Final = ("kafka", "rabbitmq", "redis")


class Fake:
    """A :class:`mqtrace.flow.Source`. ``trouble``: every question but `state` raises SourceError with this sentence."""

    def __init__(
        self,
        *,
        services: int = 8,
        trace_spans: int = 12,
        traces: int = 200,
        seed: int = 1,
        hostile: bool = False,
        trouble: str | None = None,
        changes: Mapping[str, Any] | None = None,
        now_ns: int | None = None,
    ) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._now_ns = time.time_ns() if now_ns is None else now_ns
        self._trace_spans = trace_spans
        self.trouble = trouble
        self.changes: dict[str, Any] = dict(changes or {})
        names = [*(_HOSTILE if hostile else ()), *_NAMES, *(f"team{n % 7}-service-{n:02}" for n in range(8, 1_000))]
        self._services = names[:services]
        self._flow = self._pairs()
        self._traces = [self._listed(number) for number in range(traces if services else 0)]

    def state(self) -> State:
        """A healthy topic, but for ``changes``."""
        spans = 40_000 * len(self._services)
        state: State = {
            "source": "kafka://localhost:9092/otlp_spans",
            "kind": "topic",
            "spans": spans,
            "oldest": self._time(24 * 3600) if spans else None,
            "newest": self._time(2) if spans else None,
            "age_s": 2.0 if spans else None,
            "behind": 0,
            "sampled": 1.0 if spans else None,
            "messages_malformed": 0,
            "spans_malformed": 0,
            "trouble": self.trouble,
            "window_s": 3600.0,
        }
        return {**state, **self.changes}  # type: ignore[typeddict-item]  # a test's own mapping

    def map(self, scope: Scope) -> Map:
        """The pairs, taken apart."""
        sent: dict[tuple[Any, ...], SentRow] = {}
        received: dict[tuple[Any, ...], ReceivedRow] = {}
        for row in self.flow(scope):
            sent_to, taken_from = row["sent_to"] or "", row["taken_from"]
            arrow = sent.setdefault(
                (row["sender"], sent_to),
                {
                    "service": row["sender"],
                    "destination": sent_to,
                    "system": row["system"],
                    "messages": 0,
                    "weighted": 0.0,
                    "errors": 0,
                },
            )
            arrow["messages"] = max(arrow["messages"], row["messages"])
            arrow["weighted"] = float(arrow["messages"])
            arrow["errors"] += row["send_errors"]
            if row["receiver"] is not None and taken_from is not None:
                received[row["receiver"], taken_from] = {
                    "destination": taken_from,
                    "node": sent_to,
                    "service": row["receiver"],
                    "subscription": row["subscription"],
                    "system": row["system"],
                    "messages": row["deliveries"],
                    "weighted": float(row["deliveries"]),
                    "errors": row["errors"],
                    "retries": row["retries"],
                    "dead_letters": row["dead_letters"],
                    "wait_p50_ms": row["wait_p50_ms"],
                    "wait_p99_ms": row["wait_p99_ms"],
                    "work_p50_ms": row["work_p50_ms"],
                    "work_p99_ms": row["work_p99_ms"],
                }
        return {"sent": list(sent.values()), "received": list(received.values()), "seconds": 3600.0 if sent else None}

    def flow(self, scope: Scope) -> list[FlowRow]:
        """A row for each hop."""
        self._answering()
        return [
            row
            for row in self._flow
            if _any_of(scope.services, row["sender"], row["receiver"])
            and _any_of(scope.destinations, row["sent_to"], row["taken_from"])
        ]

    def missing(self, scope: Scope, after_s: float | None = None) -> list[MissingRow]:
        """A row of each state, and a partial reader."""
        self._answering()
        rows = [row for row in self._flow if row["receiver"] is not None]
        missing_rows: list[MissingRow] = []
        for number, (state, row) in enumerate(zip([*STATES, None], rows, strict=False)):
            missing_rows.append(
                {
                    "sent_to": row["sent_to"] or "",
                    "subscription": row["subscription"],
                    "state": state,
                    "messages": 3**number,
                    "oldest": self._time(3000 - 60 * number),
                    "example": self._traces[number]["trace_id"] if number < len(self._traces) else "ab" * 16,
                    "share": None if state else 0.12,
                }
            )
        return [row for row in missing_rows if _any_of(scope.destinations, row["sent_to"])]

    def traces(
        self,
        scope: Scope,
        *,
        order: TracesOrder = "newest",
        errors: bool = False,
        attribute: tuple[str, str] | None = None,
        limit: int = 20,
    ) -> list[TraceRow]:
        """Newest first, or slowest."""
        self._answering()
        rows = [
            row
            for row in self._traces
            if (row["errors"] or not errors)
            and _any_of(scope.services, *row["services"])
            and (attribute is None or attribute == ("order.id", row["trace_id"][:6]))
        ]
        rows.sort(key=lambda row: row["duration_ms"] if order == "slowest" else row["start"], reverse=True)
        return rows[:limit]

    def trace(self, trace_id: str) -> TraceAnswer | None:
        """Any of its list."""
        self._answering()
        row = next((row for row in self._traces if row["trace_id"] == trace_id), None)
        if row is None:
            return None
        spans = self._spans(row)
        return {
            "trace_id": trace_id,
            "root": row["root"],
            "start": row["start"],
            "duration_ms": row["duration_ms"],
            "services": row["services"],
            "errors": sum(span["status"] == "error" and not span["guest"] for span in spans),
            "spans": spans,
            "omitted": 0,
        }

    def failures(self, scope: Scope) -> list[FailureRow]:
        """Of the pairs that have some."""
        rows: list[FailureRow] = []
        for row in self.flow(scope):
            if row["receiver"] is None or not (row["retries"] or row["dead_letters"]):
                continue
            for reason in (None, "rejected"):
                rows.append(
                    {
                        "destination": row["taken_from"] or "",
                        "service": row["receiver"],
                        "subscription": row["subscription"],
                        "system": row["system"],
                        "retries": row["retries"] if reason is None else 0,
                        "messages": row["retries"] // 2 + 1,
                        "recovered": row["retries"] // 3,
                        "dead_letters": row["dead_letters"] if reason else 0,
                        "dead_letter_queue": f"{row['taken_from']}.dlq" if reason else None,
                        "dead_letter_reason": reason,
                        "attempts": 4,
                        "error_type": "TimeoutError",
                        "example": self._traces[0]["trace_id"] if self._traces else "ab" * 16,
                    }
                )
        return rows

    def errors(self, scope: Scope) -> list[ErrorRow]:
        """Three types of each pair that has errors."""
        return [
            {
                "service": row["receiver"],
                "destination": row["taken_from"],
                "kind": "consumer",
                "error_type": kind,
                "messages": max(1, row["errors"] // share),
                "example": self._traces[0]["trace_id"] if self._traces else "ab" * 16,
            }
            for row in self.flow(scope)
            if row["errors"] and row["receiver"] is not None
            for kind, share in (("TimeoutError", 2), ("ValueError", 3), (None, 6))
        ]

    def series(self, scope: Scope, steps: int = 60) -> list[StepRow]:
        """A day's wave."""
        self._answering()
        noise = random.Random(self._seed)
        rows: list[StepRow] = []
        for step in range(steps if self._services else 0):
            wait = noise.lognormvariate(2.0, 0.4)
            rows.append(
                {
                    "start": self._time(3600 * (1 - step / steps)),
                    "sent": noise.randint(80, 120),
                    "received": noise.randint(75, 120),
                    "errors": noise.choice((0, 0, 0, 0, 2)),
                    "wait_p50_ms": wait,
                    "wait_p99_ms": wait * noise.uniform(2, 9),
                }
            )
        return rows

    def close(self) -> None:
        """Nothing is held."""

    def _answering(self) -> None:
        if self.trouble is not None:
            raise SourceError(self.trouble)

    def _time(self, ago_s: float) -> str:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._now_ns // 1000 - ago_s * 1e6)
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"

    def _pairs(self) -> list[FlowRow]:
        rows: list[FlowRow] = []
        for number, receiver in enumerate(self._services[1:], 1):
            system = _SYSTEMS[number % 5 % 3]
            queue = f"{receiver}.in"
            messages = self._random.randint(50, 20_000)
            wait, work = self._random.lognormvariate(2.5, 1.2), self._random.lognormvariate(2.0, 1.0)
            failed = number % 3 == 0
            rows.append(
                {
                    "sender": self._services[self._random.randrange(number)],
                    "sent_to": f"shop:{queue}" if system == "rabbitmq" else queue,
                    "taken_from": f"shop:{queue}:{receiver}" if system == "rabbitmq" else queue,
                    "receiver": receiver,
                    "subscription": f"{receiver}-group" if system == "kafka" else receiver,
                    "system": system,
                    "messages": messages,
                    "deliveries": messages + (messages // 20 if failed else 0),
                    "send_errors": 0,
                    "errors": messages // 20 if failed else 0,
                    "retries": messages // 20 if failed else 0,
                    "dead_letters": messages // 200 if failed else 0,
                    "wait_p50_ms": wait,
                    "wait_p99_ms": wait * 11,
                    "work_p50_ms": work,
                    "work_p99_ms": work * 8,
                }
            )
        if rows:
            first_row = rows[0]
            nobody: FlowRow = {
                **first_row,
                "taken_from": None,
                "receiver": None,
                "subscription": None,
                "messages": 7,
                "deliveries": 0,
                "send_errors": 2,
                "errors": 0,
                "retries": 0,
                "dead_letters": 0,
                "wait_p50_ms": None,
                "wait_p99_ms": None,
                "work_p50_ms": None,
                "work_p99_ms": None,
            }
            rows.append(nobody)
        return rows

    def _listed(self, number: int) -> TraceRow:
        chosen = random.Random(f"{self._seed} {number}")
        services = [name for name in self._services if chosen.random() < 0.6] or self._services[:1]
        return {
            "trace_id": f"{chosen.getrandbits(128) | 1:032x}",
            "root": f"POST /{services[0]}",
            "start": self._time(3 + number * 16.5),
            "duration_ms": chosen.lognormvariate(4.0, 1.0),
            "spans": self._trace_spans,
            "services": services,
            "errors": int(chosen.random() < 0.1),
        }

    def _spans(self, row: TraceRow) -> list[TraceSpan]:
        chosen = random.Random(row["trace_id"])
        begun_ns = self._now_ns // 1000 * 1000
        spans: list[TraceSpan] = []
        last = self._trace_spans - 1
        for number in range(self._trace_spans):
            parent = spans[(number - 1) // 3] if number else None
            kind = "server" if parent is None else "consumer" if parent["kind"] == "producer" else "producer"
            offset = 0.0 if parent is None else parent["offset_ms"] + row["duration_ms"] * chosen.uniform(0.005, 0.02)
            guest = number == last and number > 3
            taken = kind == "consumer"
            failed = bool(row["errors"]) and number == last - 1
            retry = chosen.choice((0, 0, 0, 1, 2)) if taken else 0
            spans.append(
                {
                    "trace_id": "fe" * 16 if guest else row["trace_id"],
                    "span_id": f"{chosen.getrandbits(64) | 1:016x}",
                    "parent_id": None if parent is None or guest else parent["span_id"],
                    "service": row["services"][number % len(row["services"])],
                    "name": row["root"] if parent is None else f"{'process' if taken else 'send'} orders",
                    "kind": kind,
                    "start": row["start"],
                    "duration_ms": row["duration_ms"] / (1 + number % 7),
                    "attributes": {
                        "messaging.destination.name": "orders",
                        "order.id": row["trace_id"][:6],
                        "n": number,
                    },
                    "offset_ms": offset,
                    "start_ns": begun_ns + round(offset * 1e6),
                    "status": "error" if failed else "unset",
                    "error": "TimeoutError: no answer in 5 s" if failed else None,
                    "status_description": "no answer in 5 s" if failed else None,
                    "destination": None if parent is None else "orders",
                    "partition": "3" if taken else None,
                    "wait_ms": chosen.uniform(1, 40) if taken else None,
                    "wait_measured": taken,
                    "guest": guest,
                    "retry": retry,
                    "dead_letter": taken and retry == 2,
                    "batch": 100 if guest else None,
                    "events": [
                        {
                            "name": "exception",
                            "timestamp_ns": begun_ns,
                            "offset_ms": offset,
                            "attributes": {"exception.type": "TimeoutError", "exception.message": "no answer in 5 s"},
                        }
                    ]
                    if failed
                    else [],
                    "links": []
                    if parent is None
                    else [{"trace_id": row["trace_id"], "span_id": parent["span_id"], "attributes": {}}],
                    "trace_state": None,
                }
            )
        return spans


def _any_of(patterns: tuple[str, ...], *names: str | None) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for name in names if name is not None for pattern in patterns)
