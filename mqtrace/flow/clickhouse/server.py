"""A ClickHouse server, asked over HTTP by an account that may only read."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from mqtrace.flow.engine import Dialect, Rows
from mqtrace.flow.trouble import SourceError
from mqtrace.otlp.records import SpanRecord
from mqtrace.urls import hide, shown

from .dialect import ClickHouseDialect
from .records import trace_records

__all__ = ["Server", "Target", "parse"]

_EXAMPLE: Final = "clickhouse://user:password@host:8123/database"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAMETER: Final = re.compile(r"\$([a-z_0-9]+)")
_MOST_SECONDS: Final = 10
# A common table expression is computed anew wherever it is named, unless this is on (26.2 and later): without it `flow`
# and `missing` are right and slow.
_MATERIALIZE: Final = "enable_materialized_cte"
_CTE: Final = re.compile(r"^(\w+) AS \(", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """Where the table is. ``secure``: over HTTPS."""

    host: str
    port: int
    user: str
    password: str
    database: str
    table: str
    secure: bool

    @property
    def shown(self) -> str:
        """Without user and password."""
        return f"clickhouse://{self.host}:{self.port}/{self.database}.{self.table}"


def parse(address: str) -> Target:
    """``clickhouse://user:password@host:8123/database[.table][?secure=true]``; both may be percent-encoded."""
    try:
        parts = urlsplit(address)
        secure = (parse_qs(parts.query).get("secure") or ["false"])[-1].lower() in ("true", "1")
        port = parts.port or (8443 if secure else 8123)
        host = parts.hostname
    except ValueError:
        raise SourceError(f"{shown(address)!r} is not the address of a ClickHouse: write {_EXAMPLE}") from None
    database, _, table = unquote(parts.path.strip("/")).partition(".")
    names = database or "default", table or "otel_traces"
    if not host or not all(_NAME.fullmatch(name) for name in names):
        raise SourceError(f"{shown(address)!r} is not the address of a ClickHouse: write {_EXAMPLE}")
    return Target(
        host, port, unquote(parts.username or "default"), unquote(parts.password or ""), *names, secure=secure
    )


class Server:
    """An :class:`mqtrace.flow.engine.Engine`. Raises SourceError if it does not answer, or refuses."""

    dialect: Dialect

    def __init__(self, target: Target) -> None:
        try:
            import clickhouse_connect
        except ImportError as error:
            raise SourceError(
                "ClickHouse is asked with clickhouse-connect, which is missing: pip install 'mqtrace[clickhouse]'"
            ) from error
        # what it logs of an error stands in ours: where nobody handles it, it would go to standard error as it is
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        self._target = target
        # One session at a time: questions of several threads follow each other.
        self._lock = threading.Lock()
        self._table = f"`{target.database}`.`{target.table}`"
        try:
            self._client = clickhouse_connect.get_client(
                host=target.host,
                port=target.port,
                username=target.user,
                password=target.password,
                database=target.database,
                secure=target.secure,
                connect_timeout=5,
                send_receive_timeout=_MOST_SECONDS + 5,
                autogenerate_session_id=False,
                query_retries=0,
                compress=False,
            )
        except Exception as error:  # noqa: BLE001  # of the client, of its HTTP library, of the socket
            raise self._trouble(error) from None
        self._settings = {
            name: value
            for name, value in {"max_execution_time": _MOST_SECONDS, _MATERIALIZE: 1}.items()
            if (setting := self._client.server_settings.get(name)) is not None and not setting.readonly
        }
        types = {row["name"]: row["type"] for row in self.rows(f"DESCRIBE TABLE {self._table}", {})}
        wanted = {"Timestamp", "TraceId", "SpanId", "SpanAttributes", "Links.TraceId"}
        if not wanted <= set(types):
            raise SourceError(
                f"{target.shown} is not the table of the OpenTelemetry Collector: name it, {_EXAMPLE}.otel_traces"
            )
        self.is_json = types["SpanAttributes"].startswith("JSON")
        self.dialect = ClickHouseDialect(self._table, self.is_json)

    def rows(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """The rows; NaN, which is what a quantile of nothing is, as None."""
        bound = _PARAMETER.sub(lambda match: f"{{{match[1]}:{_type(parameters[match[1]])}}}", query)
        wanted = {name: parameters[name] for name in _PARAMETER.findall(query)}
        if _MATERIALIZE in self._settings:
            bound = _CTE.sub(r"\1 AS MATERIALIZED (", bound)
        try:
            with self._lock:
                answer = self._client.query(bound, parameters=wanted, settings=self._settings)
        except Exception as error:  # noqa: BLE001  # of the client, of its HTTP library, of the socket
            raise self._trouble(error) from None
        return [
            {name: _json_value(value) for name, value in zip(answer.column_names, row, strict=True)}
            for row in answer.result_rows
        ]

    def records(self, trace_id: str) -> tuple[list[SpanRecord], list[SpanRecord], int]:
        """The spans of a trace, its guests, and how many were left out."""
        return trace_records(self.rows, self._table, trace_id)

    def _trouble(self, error: Exception) -> SourceError:
        """A sentence without the password; what a server quotes of a query is left out."""
        target = self._target
        text = " ".join(str(error).split())
        text = hide(text, [target.password]) if target.password else text
        where = f"ClickHouse at {target.host}:{target.port}"
        if "TIMEOUT_EXCEEDED" in text or "timed out" in text.lower():
            return SourceError(f"{where} took longer than {_MOST_SECONDS} s: ask about a shorter time")
        if "AUTHENTICATION_FAILED" in text or "Code: 516" in text:
            return SourceError(f"{where} does not know this user and password: correct them")
        if "ACCESS_DENIED" in text or "Code: 497" in text:
            return SourceError(
                f"{where} does not let this user read {target.database}.{target.table}: grant SELECT on it"
            )
        if "UNKNOWN_DATABASE" in text or "UNKNOWN_TABLE" in text or "Code: 60." in text or "Code: 81." in text:
            return SourceError(f"{where} has no table {target.database}.{target.table}: correct the address")
        if "refused" in text or "resolve" in text or "Max retries" in text or "unreachable" in text:
            return SourceError(
                f"no ClickHouse answers at {target.host}:{target.port}: start one, or correct the address"
            )
        return SourceError(f"{where} answers with an error: {text[:200]}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _type(value: Any) -> str:
    """The type that a parameter is bound as."""
    if isinstance(value, list):
        return f"Array({_type(value[0]) if value else 'String'})"
    return "String" if isinstance(value, str) else "Float64" if isinstance(value, float) else "Int64"


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
