"""Batches of spans as Kafka messages.

Facts that the design follows from:

- A batch is one message, the bytes of one TracesData, which is what the OpenTelemetry Collector and Jaeger read. Its
  records compress well, so compression is librdkafka's, across records and outside of the interpreter's lock.
- A message may be too large for librdkafka (``message.max.bytes``), which says so at once, or for the topic
  (``max.message.bytes``), which says so in the report of every message that librdkafka put into the same request. So a
  message that a report calls too large is first sent again in a request of its own, and only then cut into halves.
- A producer that a forked child inherited waits for threads that do not exist there, if it is destroyed. It is kept
  for ever.
- The producer belongs to the exporter and is not wrapped: nothing traces it.
- librdkafka reports trouble with the brokers several times over: the reason, that all brokers are down, and that each
  message timed out. A user wants the reason, once.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

# Not from confluent_kafka, where an application may have put a traced Producer.
from confluent_kafka.cimpl import KafkaError, KafkaException, Producer

from mqtrace.core import Span
from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.urls import Url, hide

from . import encodings, kafka_check, kafka_options
from .in_flight import BatchInFlight, Held, Payload, PayloadEncoder
from .kafka_url import KafkaTarget
from .limited_log import LimitedLog
from .protocol import Complete

__all__ = ["KafkaExporter", "from_target"]

log = logging.getLogger("mqtrace.export.kafka")

_TOO_LARGE: Final = KafkaError.MSG_SIZE_TOO_LARGE
_PURGED: Final = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_UNKNOWN_TOPIC: Final = (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
_CONSEQUENCES: Final = (KafkaError._ALL_BROKERS_DOWN, KafkaError._MSG_TIMED_OUT)
# Below this librdkafka refuses a message.timeout.ms next to its linger: seconds.
_LEAST_TIMEOUT: Final = 1.0
# What a connection was about when it was lost, in librdkafka's words, and the error that says why it was.
_REASONS_BY_STATE: Final = (("SSL_HANDSHAKE", KafkaError._SSL), ("AUTH_", KafkaError._AUTHENTICATION))


def _trace_id(span: Span) -> bytes:
    """32 lowercase hex characters."""
    return span.identity[3:35]


class Message(Payload):
    """A payload as a Kafka message; it is its own delivery callback."""

    __slots__ = ("_reported", "in_own_request", "key")

    def __init__(
        self,
        batch: BatchInFlight,
        spans: Sequence[Span],
        content: bytes,
        deadline: float,
        key: bytes | None,
        reported: Callable[[Message, Any], None],
    ) -> None:
        super().__init__(batch, spans, content, deadline)
        self.key = key
        #: Whether it was sent in a request of its own.
        self.in_own_request = False
        self._reported = reported

    def __call__(self, error: Any, message: Any) -> None:
        """The delivery report: a KafkaError or None."""
        self._reported(self, error)


class KafkaExporter:
    """Sends spans to ``topic`` of the brokers at ``servers`` (``host:port``, separated by commas).

    ``encoding``: one of encodings.py. ``partition_by_trace``: the spans of one trace a message, its key the 32
    lowercase hex characters of the trace id. ``options``: librdkafka's, over our defaults. ConfigurationError for an
    encoding or an option that cannot be; brokers that cannot be reached are not an error here.
    """

    def __init__(
        self,
        servers: str,
        topic: str = "otlp_spans",
        *,
        encoding: str = "otlp_proto",
        partition_by_trace: bool = False,
        options: Mapping[str, str] | None = None,
        encode: Callable[[Sequence[Any]], bytes] | None = None,
        trace_id_of: Callable[[Any], bytes] = _trace_id,
    ) -> None:
        self.servers = servers
        self.topic = topic
        self.export_timeout = 30.0
        self._encode = PayloadEncoder(encode or encodings.named(encoding).encode)
        self._by_trace = partition_by_trace
        self._trace_id_of = trace_id_of
        self._options = dict(options or {})
        #: The last one takes messages; the earlier ones still owe reports.
        self._producers: list[Producer] = []
        self._one_a_request = False
        self._waiting: deque[Message] = deque()
        self._closed = False
        self._held = Held()
        self._log = LimitedLog(log)
        #: Why brokers are down: librdkafka's last words of a connection that failed. It has none for a closed one.
        self._why_down = "they close connections: do they want another security.protocol?"
        kafka_check.check(self._options)
        self._secrets = kafka_options.secrets(self._options)
        self._compression = kafka_check.default_compression()

    # ------------------------------------------------------------------ the worker's calls

    def submit(self, spans: Sequence[Span], complete: Complete) -> None:
        """Hand a batch to librdkafka."""
        if self._closed:
            raise RuntimeError("the exporter is shut down")
        batch = BatchInFlight(complete, self._held)
        if not self._has_producer():
            batch.lose("export_failed", len(spans))
            batch.end()
            return
        deadline = time.monotonic() + self.export_timeout
        if self._by_trace:
            traces: dict[bytes, list[Span]] = {}
            for span in spans:
                traces.setdefault(self._trace_id_of(span), []).append(span)
            for key, group in traces.items():
                self._send(batch, self._encode.payloads(batch, group), key, deadline)
        else:
            self._send(batch, self._encode.payloads(batch, spans), None, deadline)
        batch.end()

    @property
    def held_bytes(self) -> int:
        """The bytes of payloads under way: each is here, to be sent again, and in librdkafka."""
        return 2 * self._held.bytes

    def poll(self, timeout: float) -> None:
        """Serve delivery reports, and send again the messages for which librdkafka's queue was full."""
        for producer in self._producers[:-1]:
            producer.poll(0)
        if self._producers:
            self._producers[-1].poll(timeout)
        for _ in range(len(self._waiting)):
            message = self._waiting.popleft()
            if time.monotonic() >= message.deadline:
                message.lost("export_failed")
            elif not self._produce(message):
                break

    def shutdown(self, timeout: float) -> bool:
        """Wait for reports, then purge the remaining messages without waiting for a broker."""
        self._closed = True
        deadline = time.monotonic() + timeout
        for producer in self._producers:
            producer.flush(max(0.0, deadline - time.monotonic()))
        unsent = sum(len(producer) for producer in self._producers) + len(self._waiting)
        if unsent:
            for producer in self._producers:
                producer.purge(blocking=False)
                producer.flush(0.1)
            while self._waiting:
                self._waiting.popleft().lost("shutdown")
        self._producers = []
        return not unsent

    def after_fork(self) -> None:
        """In a forked child: stop using the parent's producers, but never destroy them; see above."""
        for producer in self._producers:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(producer))
        self._producers = []
        self._waiting = deque()
        self._held = Held()
        self._log = LimitedLog(log)

    # ------------------------------------------------------------------ a message

    def _send(
        self, batch: BatchInFlight, payloads: Iterable[tuple[bytes, Sequence[Span]]], key: bytes | None, deadline: float
    ) -> None:
        for content, spans in payloads:
            self._produce(Message(batch, spans, content, deadline, key, self._reported))

    def _produce(self, message: Message) -> bool:
        """Hand a message to librdkafka. False: its queue is full, and the message waits."""
        if self._closed or not self._producers:
            message.lost("shutdown")
            return True
        message.in_own_request = self._one_a_request
        try:
            self._producers[-1].produce(self.topic, message.content, message.key, -1, message)
        except BufferError:
            self._waiting.append(message)
            return False
        except KafkaException as error:
            self._failed(message, error.args[0])
        return True

    def _reported(self, message: Message, error: Any) -> None:
        if error is None:
            self._why_down = ""  # whatever it was: a broker that is restarted closes its connections too
            message.arrived()
        elif error.code() == _TOO_LARGE and not message.in_own_request and not self._closed:
            if not self._one_a_request:
                self._one_a_request = True
                self._add_producer()
            self._produce(message)
        else:
            self._failed(message, error)

    def _failed(self, message: Message, error: Any) -> None:
        code = error.code()
        if code == _TOO_LARGE:
            if len(message.spans) == 1:
                message.lost("too_large")
                return
            self._encode.refused(len(message.content))
            halves = self._encode.halves(message.batch, message.spans)
            self._send(message.batch, halves, message.key, message.deadline)
            message.batch.end()
        elif code in _PURGED:
            message.lost("shutdown")
        else:
            advice = "; create the topic, or let the broker create topics" if code in _UNKNOWN_TOPIC else ""
            self._warn(code, f"spans did not arrive on topic {self.topic}: {self._text_of(error)}{advice}")
            message.lost("export_failed")

    # ------------------------------------------------------------------ librdkafka

    def _has_producer(self) -> bool:
        return bool(self._producers) or self._add_producer()

    def _add_producer(self) -> bool:
        """Have another producer take the messages from here on. False: it cannot be made now, which is logged."""
        try:
            self._producers.append(self._build())
        except KafkaException as error:  # a certificate's file that is not there any more, for one
            text = self._text_of(error.args[0])
            self._log.warning("build", f"spans are lost, librdkafka cannot begin: {text}")
            return False
        return True

    def _build(self) -> Producer:
        timeout = round(max(_LEAST_TIMEOUT, self.export_timeout) * 1000)
        return Producer(
            {
                **kafka_check.DEFAULTS,
                "compression.type": self._compression,
                "message.timeout.ms": str(timeout),
                **self._options,
                **({"batch.num.messages": "1"} if self._one_a_request else {}),
                "bootstrap.servers": self.servers,
                "logger": kafka_check.ToDebug(self._secrets),
                "error_cb": self._error,
            }
        )

    def _error(self, error: Any) -> None:
        """Take an error that librdkafka reports about the brokers as a whole; it goes on trying."""
        code, text = error.code(), self._text_of(error)
        if code == KafkaError._TRANSPORT:  # one connection, an idle one that the broker closed for example
            self._why_down = text
            log.debug("%s", text)
            return
        if code == KafkaError._ALL_BROKERS_DOWN and self._why_down:
            text = f"{text}, {self._why_down}"
            for state, reason in _REASONS_BY_STATE:
                if state in self._why_down:
                    self._log.hold(reason)  # librdkafka reports it now and then only after what follows from it
        self._warn(code, f"spans wait for the brokers at {self.servers}: {text}")

    def _warn(self, code: int, sentence: str) -> None:
        """Log it, unless it only follows from what was logged in the last minute."""
        if code in _CONSEQUENCES:
            self._log.warning(_CONSEQUENCES, sentence)
        else:
            self._log.warning(code, sentence)
            self._log.hold(_CONSEQUENCES)

    def _text_of(self, error: Any) -> str:
        """librdkafka's own words, with the values of secret options hidden."""
        return hide(str(error.str()), self._secrets)


def from_target(
    target: KafkaTarget,
    url: Url,
    environment: Environment,
    *,
    encode: Callable[[Sequence[Any]], bytes] | None = None,
    trace_id_of: Callable[[Any], bytes] = _trace_id,
) -> KafkaExporter:
    """The exporter to a topic. ConfigurationError for options that librdkafka refuses.

    An option of the environment that it refuses is left out, with a warning. ``encode`` and ``trace_id_of``: for spans
    that are not mqtrace's.
    """
    options = kafka_check.accepted(target, url, environment)
    try:
        return KafkaExporter(
            target.servers,
            target.topic,
            encoding=target.encoding,
            partition_by_trace=target.partition_by_trace,
            options=options,
            encode=encode,
            trace_id_of=trace_id_of,
        )
    except ConfigurationError as error:
        sentence = str(error)
    raise url.error(sentence)
