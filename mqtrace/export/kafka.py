"""Batches of spans as Kafka messages.

Facts that the design follows from:

- A batch is one message, the bytes of one TracesData, which is what the OpenTelemetry Collector and Jaeger read. Its
  records compress well, so compression is librdkafka's, across records and outside of the interpreter's lock.
- A message may be too large for librdkafka (``message.max.bytes``), which says so at once, or for the topic
  (``max.message.bytes``), which says so in the report, and of everything that librdkafka put into the same request. So
  what a report calls too large is first sent once more in a request of its own, and only then cut into halves.
- An inherited producer that is destroyed in a forked child waits for threads that are not there. It is kept for ever.
- The producer is ours and raw: nothing traces it.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

# Not from confluent_kafka, where an application may have put a traced Producer.
from confluent_kafka.cimpl import KafkaError, KafkaException, Producer

from mqtrace.core import Span
from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.urls import Url, hide

from . import encodings
from .in_flight import BatchInFlight, Held, Payload, PayloadEncoder
from .kafka_url import KafkaTarget
from .limited_log import LimitedLog
from .protocol import Complete

__all__ = ["KafkaExporter", "from_target"]

log = logging.getLogger("mqtrace.export.kafka")

_TOO_LARGE: Final = KafkaError.MSG_SIZE_TOO_LARGE
_PURGED: Final = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_UNKNOWN_TOPIC: Final = (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
# Below this librdkafka refuses a message.timeout.ms next to its linger: seconds.
_LEAST_TIMEOUT: Final = 1.0
_DEFAULTS: Final = {"client.id": "mqtrace", "linger.ms": "20", "log.connection.close": "false"}


class _ToDebug:
    """Takes librdkafka's log, which else goes to standard error: what matters of it comes as an error or a report.

    With ``debug=conf`` librdkafka logs its whole configuration, so ``secrets`` are taken out.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = secrets

    def log(self, level: int, message: str, *arguments: object) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", hide(message % arguments if arguments else message, self._secrets))


def _trace_id(span: Span) -> bytes:
    """32 lowercase hex characters."""
    return span.identity[3:35]


class Message(Payload):
    """A payload as a Kafka message; it is its own delivery callback."""

    __slots__ = ("_reported", "alone", "key")

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
        self.alone = False
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
        #: The last one takes messages; the ones before still owe reports.
        self._producers: list[Producer] = []
        self._alone = False
        self._waiting: deque[Message] = deque()
        self._closed = False
        self._held = Held()
        self._log = LimitedLog(log)
        _check(self._options)
        self._compression = _default_compression()

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
        """What is under way: each payload is here, to be sent again, and in librdkafka."""
        return 2 * self._held.bytes

    def poll(self, timeout: float) -> None:
        """Serve delivery reports, and try again what found librdkafka's queue full."""
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
        """Wait for reports, then let go of what is left without waiting for any broker."""
        self._closed = True
        deadline = time.monotonic() + timeout
        for producer in self._producers:
            producer.flush(max(0.0, deadline - time.monotonic()))
        left = sum(len(producer) for producer in self._producers) + len(self._waiting)
        if left:
            for producer in self._producers:
                producer.purge(blocking=False)
                producer.flush(0.1)
            while self._waiting:
                self._waiting.popleft().lost("shutdown")
        self._producers = []
        return not left

    def after_fork(self) -> None:
        """In a forked child: forget the parent's producers, but never let go of them; see above."""
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
        """False: librdkafka's queue is full, and the message waits."""
        if self._closed or not self._producers:
            message.lost("shutdown")
            return True
        message.alone = self._alone
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
            message.arrived()
        elif error.code() == _TOO_LARGE and not message.alone and not self._closed:
            if not self._alone:
                self._alone = True
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
            self._log.warning(code, f"spans did not arrive on topic {self.topic}: {self._text_of(error)}{advice}")
            message.lost("export_failed")

    # ------------------------------------------------------------------ librdkafka

    def _has_producer(self) -> bool:
        return bool(self._producers) or self._add_producer()

    def _add_producer(self) -> bool:
        """Have another producer take the messages from here on. False: there cannot be one now, which is logged."""
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
                **_DEFAULTS,
                "compression.type": self._compression,
                "message.timeout.ms": str(timeout),
                **self._options,
                **({"batch.num.messages": "1"} if self._alone else {}),
                "bootstrap.servers": self.servers,
                "logger": _ToDebug(self._options.values()),
                "error_cb": self._error,
            }
        )

    def _error(self, error: Any) -> None:
        """What librdkafka says of the brokers as a whole; it goes on trying."""
        if error.code() == KafkaError._TRANSPORT:  # one connection, an idle one that the broker closed for example
            log.debug("%s", self._text_of(error))
        else:
            self._log.warning(error.code(), f"spans wait for the brokers at {self.servers}: {self._text_of(error)}")

    def _text_of(self, error: Any) -> str:
        """librdkafka's own words, without what the options say."""
        return hide(str(error.str()), self._options.values())


def from_target(
    target: KafkaTarget,
    url: Url,
    environment: Environment,
    *,
    encode: Callable[[Sequence[Any]], bytes] | None = None,
    trace_id_of: Callable[[Any], bytes] = _trace_id,
) -> KafkaExporter:
    """The exporter to a topic. ConfigurationError for options that librdkafka refuses.

    One of the environment that it refuses is a warning, and left out. ``encode`` and ``trace_id_of``: of spans that are
    not mqtrace's.
    """
    options = dict(target.options)
    for name, option in target.options.items():
        refusal = _refusal({name: option.value})
        if refusal is None:
            continue
        if option.origin in environment.environ:
            environment.warn(f"{option.origin} {_what_is_wrong(refusal)}: it is ignored")
            del options[name]
        else:
            raise url.error(f"{option.origin} {_what_is_wrong(refusal)}: {_ADVICE}")
    try:
        return KafkaExporter(
            target.servers,
            target.topic,
            encoding=target.encoding,
            partition_by_trace=target.partition_by_trace,
            options={name: option.value for name, option in options.items()},
            encode=encode,
            trace_id_of=trace_id_of,
        )
    except ConfigurationError as error:
        sentence = str(error)
    raise url.error(sentence)


def _default_compression() -> str:
    # some builds of librdkafka come without zstd
    return "lz4" if _refusal({"compression.type": "zstd"}) else "zstd"


def _check(options: Mapping[str, str]) -> None:
    """Have librdkafka read the options, without an address to connect to."""
    refusal = _refusal(options)
    if refusal is None:
        return
    # Not in an except block: the error must not hold librdkafka's, which quotes the options.
    for position, (name, value) in enumerate(options.items(), 1):
        alone = _refusal({name: value})
        if alone is not None:
            raise ConfigurationError(f"the exporter's option {position} {_what_is_wrong(alone)}: {_ADVICE}")
    words = hide(refusal, [*options, *options.values()])
    raise ConfigurationError(f"librdkafka refuses the exporter's options taken together, {words}: {_ADVICE}")


_ADVICE: Final = "write an option of librdkafka's CONFIGURATION.md"


def _what_is_wrong(refusal: str) -> str:
    """What librdkafka says of one option, without its name and its value, which may be parts of a password."""
    unknown = refusal.startswith("No such configuration property")
    return "is unknown to librdkafka" if unknown else "has a value that librdkafka does not take"


def _refusal(options: Mapping[str, str]) -> str | None:
    """librdkafka's words, which may quote the options; None where it takes them."""
    try:
        Producer({**_DEFAULTS, **options, "logger": _ToDebug(options.values())})
    except KafkaException as error:
        return str(error.args[0].str()).rstrip(".")
    except (TypeError, ValueError) as error:
        return str(error)
    return None
