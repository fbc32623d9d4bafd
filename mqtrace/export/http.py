"""Batches of spans as HTTP requests: OTLP/HTTP (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"), and Zipkin's v2 API.

Requests are sent from the worker's thread, one at a time. While the receiver takes none, batches stand in line, each
until its own deadline. retry.py says what is tried again and when; the connection is in http_connection.py.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import time
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from mqtrace.core import Span
from mqtrace.errors import ConfigurationError
from mqtrace.urls import hide, shown
from mqtrace.version import VERSION

from . import encodings, http_answer
from .http_answer import printable
from .http_connection import Answer, Connection, Interrupted, NotHttp
from .http_target import HttpTarget
from .in_flight import BatchInFlight, Held, Payload, PayloadEncoder
from .limited_log import LimitedLog
from .protocol import Complete
from .retry import RETRYABLE, Backoff, retry_after_s

__all__ = ["HttpExporter"]

log = logging.getLogger("mqtrace.export.http")

_TOO_LARGE: Final = 413
# What a child inherited and must not touch.
_inherited: list[object] = []


class HttpExporter:
    """Posts spans to ``target``. A receiver that cannot be reached is not an error here.

    ConfigurationError for a certificate that cannot be used.
    """

    def __init__(self, target: HttpTarget) -> None:
        encoding = encodings.named(target.encoding)
        target.check_tls()
        self.target = target
        self.export_timeout = target.timeout_s
        self._encode = PayloadEncoder(encoding.encode)
        self._is_otlp = encoding.is_otlp
        self._headers = {
            "User-Agent": f"mqtrace/{VERSION}",
            **target.headers,
            "Content-Type": encoding.content_type,
            **({"Content-Encoding": "gzip"} if target.compress else {}),
        }
        self._begin()

    def _begin(self) -> None:
        self._connection = Connection(self.target, self._headers)
        self._backoff = Backoff()
        self._log = LimitedLog(log)
        #: Payloads in the order in which they came; the first is the one that is tried again.
        self._line: deque[Payload] = deque()
        self._held = Held()
        self._closed = False

    # ------------------------------------------------------------------ the worker's calls

    def submit(self, spans: Sequence[Span], complete: Complete) -> None:
        """Send a batch, or have it stand in line behind others."""
        if self._closed:
            raise RuntimeError("the exporter is shut down")
        deadline = time.monotonic() + min(self.export_timeout, self.target.timeout_s)
        batch = BatchInFlight(complete, self._held)
        for content, of_payload in self._encode.payloads(batch, spans):
            self._line.append(Payload(batch, of_payload, content, deadline))
        self._send_line()
        batch.end()

    @property
    def held_bytes(self) -> int:
        """The bytes of the payloads that stand in line."""
        return self._held.bytes

    def poll(self, timeout: float) -> None:
        """Try the line again when that is due, at the latest after ``timeout`` seconds."""
        pause = min(timeout, self._backoff.remaining_s()) if self._line else timeout
        if pause > 0:
            time.sleep(pause)
        self._send_line()

    def shutdown(self, timeout: float) -> bool:
        """Try once more to send what stands in line, within ``timeout`` seconds, and close the connection."""
        self.hurry(time.monotonic() + timeout)
        if timeout > 0 and self._line:
            self._backoff.succeeded()
            self._send_line()
        self._closed = True
        some_left = bool(self._line)
        while self._line:
            self._line.popleft().lost("shutdown")
        self._connection.close()
        return not some_left

    def hurry(self, deadline: float) -> None:
        """End a request under way at ``deadline``, a reading of time.monotonic. Called from any thread."""
        self._connection.interrupt(deadline)

    def after_fork(self) -> None:
        """In a forked child: do not touch the parent's connection and batches."""
        _inherited.append((self._connection.abandon(), self._line))
        closed = self._closed
        self._begin()
        self._closed = closed

    # ------------------------------------------------------------------ a request

    def _send_line(self) -> None:
        line = self._line
        while line and not self._closed:
            if time.monotonic() >= line[0].deadline:
                line.popleft().lost("export_failed")
            elif self._backoff.remaining_s() > 0:
                self._expire()
                return
            elif not self._send(line[0]):
                return

    def _expire(self) -> None:
        """Lose the payloads that have waited too long, which stand in front."""
        now = time.monotonic()
        while self._line and now >= self._line[0].deadline:
            self._line.popleft().lost("export_failed")

    def _send(self, payload: Payload) -> bool:
        """Try to send the first in line. False: the receiver must not be tried again for now."""
        body = zlib.compress(payload.content, 1, 31) if self.target.compress else payload.content
        try:
            answer = self._connection.post(body, payload.deadline)
        except Interrupted:
            return False
        except (OSError, http.client.HTTPException, ConfigurationError, ValueError) as error:
            # one kind of trouble for the log: which error it is may depend on who closes the connection first
            self._log.warning("no answer", f"spans wait for {self.target.shown}: {self._words_of_error(error)}")
            self._backoff.failed()
            return False
        return self._answered(payload, answer)

    def _answered(self, payload: Payload, answer: Answer) -> bool:
        status = answer.status
        if status in RETRYABLE:
            self._backoff.failed(retry_after_s(answer.headers.get("retry-after")))
            self._log.warning(status, f"spans wait for {self.target.shown}, which answered {self._summary(answer)}")
            return False
        self._backoff.succeeded()
        self._line.popleft()
        if 200 <= status < 300:
            self._accepted(payload, answer)
        elif status == _TOO_LARGE and len(payload.spans) > 1:
            self._encode.refused(len(payload.content))
            halves = [
                Payload(payload.batch, spans, content, payload.deadline)
                for content, spans in self._encode.halves(payload.batch, payload.spans)
            ]
            self._line.extendleft(reversed(halves))
            payload.batch.end()
        else:
            self._refused(payload, answer)
        return True

    def _accepted(self, payload: Payload, answer: Answer) -> None:
        rejected, message = http_answer.partial_success(answer) if self._is_otlp else (0, "")
        rejected = min(rejected, len(payload.spans))
        if rejected or message:
            what = f"rejected {rejected} spans" if rejected else "took the spans and warns"
            self._log.warning("partial", f"{self.target.shown} {what}: {self._hidden(message) or 'no reason given'}")
        payload.arrived(rejected)

    def _refused(self, payload: Payload, answer: Answer) -> None:
        status = answer.status
        if 300 <= status < 400:
            location = shown(printable(answer.headers.get("location", "")))
            place = f"to {location!r}" if location else "and does not say where to"
            advice = f"; it redirects {place}, which is not followed: write {'that' if location else 'its own'} address"
        elif status == 404:
            advice = "; write the path that its OTLP receiver has, /v1/traces mostly"
        elif status in (401, 403):
            advice = "; write its key into OTEL_EXPORTER_OTLP_HEADERS"
        elif status == 415:
            advice = "; write another encoding, or compression=none"
        else:
            advice = ""
        self._log.warning(status, f"{self.target.shown} refused spans, it answered {self._summary(answer)}{advice}")
        if status == _TOO_LARGE:
            payload.lost("too_large")
        else:
            payload.lost("rejected" if 400 <= status < 500 else "export_failed")

    # ------------------------------------------------------------------ for the log

    def _summary(self, answer: Answer) -> str:
        message = self._hidden(http_answer.message(answer))
        return f"{answer.status}: {message}" if message else str(answer.status)

    def _hidden(self, text: str) -> str:
        """A receiver's text with our headers and our query hidden in it."""
        query = self.target.path.partition("?")[2]
        return hide(text, [*self.target.headers.values(), query])

    def _words_of_error(self, error: Exception) -> str:
        if isinstance(error, NotHttp):
            if error.is_grpc:
                return "it speaks gRPC: write the address of its OTLP/HTTP port, 'http://host:4318'"
            return "it does not answer in HTTP"
        if isinstance(error, ssl.SSLCertVerificationError):
            why = printable(error.verify_message)
            return f"its certificate does not hold, {why}: name its authority in OTEL_EXPORTER_OTLP_CERTIFICATE"
        if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(error.reason):
            return "it wants a client certificate: name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
        if isinstance(error, ssl.SSLEOFError) and self.target.client_certificate is None:
            # mostly the same trouble: the alert was overtaken by the end of the connection
            return "it closes the connection: does it want OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE?"
        if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return "it does not speak TLS: write 'http://' if it is to be reached without"
        if isinstance(error, ConfigurationError):
            return str(error)
        if isinstance(error, OSError):
            through = f", through the proxy {self._connection.proxy}" if self._connection.proxy else ""
            return self._hidden(printable(error.strerror or str(error) or type(error).__name__)) + through
        return f"its answer is broken ({type(error).__name__})"
