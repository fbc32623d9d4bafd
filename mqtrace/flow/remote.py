"""A running page as a source: since a DuckDB file is open in one process only, others ask its page."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from mqtrace.urls import shown

from .answers import ErrorRow, FailureRow, FlowRow, Map, MissingRow, State, StepRow, TraceAnswer, TraceRow
from .scope import Scope
from .source import TracesOrder
from .trouble import AskError, SourceError

__all__ = ["RemoteSource"]

_TIMEOUT_S: Final = 15.0
_MOST_BYTES: Final = 256 << 20


class RemoteSource:
    """A :class:`mqtrace.flow.Source`. ``address``: ``http://host:8765``, with ``?token=...`` where it wants one."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if not parts.hostname or "@" in parts.netloc:
            raise SourceError(f"{shown(address)!r} is not the address of a page: write http://127.0.0.1:8765")
        self._base = f"{parts.scheme}://{parts.netloc}"
        tokens = parse_qs(parts.query).get("token")
        self._token = tokens[-1] if tokens else None
        # The page is on this machine or named in full: no proxy is used, and no redirect is followed.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def _ask(self, question: str, parameters: Mapping[str, Any]) -> Any:
        query = {name: value for name, value in parameters.items() if value not in (None, ())}
        request = urllib.request.Request(f"{self._base}/api/{question}?{urlencode(query, doseq=True)}")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                body = response.read(_MOST_BYTES)
            return json.loads(body)
        except urllib.error.HTTPError as error:
            sentence = _sentence(error)
            if error.code == 400:
                raise AskError(sentence) from None
            raise SourceError(f"the page at {self._base} answers {error.code}: {sentence}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise SourceError(
                f"no page answers at {self._base} ({reason}): start one with mqtrace ui, or correct the address"
            ) from None
        except ValueError as error:
            raise SourceError(f"what answers at {self._base} is not a page of mqtrace: correct the address") from error

    def state(self) -> State:
        """The page's state; if it does not answer, that is the ``trouble``."""
        try:
            state: State = self._ask("state", {})
            return {**state, "kind": "page"}
        except (SourceError, AskError) as error:
            return {
                "source": self._base,
                "kind": "page",
                "spans": 0,
                "oldest": None,
                "newest": None,
                "age_s": None,
                "behind": None,
                "sampled": None,
                "messages_malformed": 0,
                "spans_malformed": 0,
                "trouble": str(error),
                "window_s": 3600.0,
            }

    def map(self, scope: Scope) -> Map:
        """See :class:`mqtrace.flow.Source`."""
        answer: Map = self._ask("map", _scope(scope))
        return answer

    def flow(self, scope: Scope) -> list[FlowRow]:
        """See :class:`mqtrace.flow.Source`."""
        answer: list[FlowRow] = self._ask("flow", _scope(scope))
        return answer

    def missing(self, scope: Scope, after_s: float | None = None) -> list[MissingRow]:
        """See :class:`mqtrace.flow.Source`."""
        after = None if after_s is None else f"{after_s:.9f}".rstrip("0").rstrip(".")
        answer: list[MissingRow] = self._ask("missing", {**_scope(scope), "after": after})
        return answer

    def traces(
        self,
        scope: Scope,
        *,
        order: TracesOrder = "newest",
        errors: bool = False,
        attribute: tuple[str, str] | None = None,
        limit: int = 20,
    ) -> list[TraceRow]:
        """See :class:`mqtrace.flow.Source`."""
        more = {
            "order": order,
            "errors": "true" if errors else None,
            "attribute": None if attribute is None else "=".join(attribute),
            "limit": limit,
        }
        answer: list[TraceRow] = self._ask("traces", {**_scope(scope), **more})
        return answer

    def trace(self, trace_id: str) -> TraceAnswer | None:
        """See :class:`mqtrace.flow.Source`."""
        answer: TraceAnswer | None = self._ask("trace", {"id": trace_id})
        return answer

    def failures(self, scope: Scope) -> list[FailureRow]:
        """See :class:`mqtrace.flow.Source`."""
        answer: list[FailureRow] = self._ask("failures", _scope(scope))
        return answer

    def errors(self, scope: Scope) -> list[ErrorRow]:
        """See :class:`mqtrace.flow.Source`."""
        answer: list[ErrorRow] = self._ask("errors", _scope(scope))
        return answer

    def series(self, scope: Scope, steps: int = 60) -> list[StepRow]:
        """See :class:`mqtrace.flow.Source`."""
        answer: list[StepRow] = self._ask("series", {**_scope(scope), "steps": steps})
        return answer

    def close(self) -> None:
        """Nothing is held."""


def _scope(scope: Scope) -> dict[str, str | Sequence[str] | None]:
    """The scope as parameters. A scope without a window is sent too, since a page's own window is shorter."""
    return {
        "from": f"{scope.from_ns or 0:016d}",
        "to": None if scope.to_ns is None else f"{scope.to_ns:016d}",
        "service": scope.services,
        "destination": scope.destinations,
    }


def _sentence(error: urllib.error.HTTPError) -> str:
    """The page's sentence about an error."""
    try:
        sentence = json.loads(error.read(65_536))["error"]
    except (ValueError, KeyError, TypeError, OSError):
        return "it is not a page of mqtrace, or one of another version"
    return sentence if isinstance(sentence, str) else "it gives no reason"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a page never redirects a question."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None lets the answer be an error."""
