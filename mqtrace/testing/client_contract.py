"""What every client must do, as a base class of tests. No test framework is imported: pytest collects the subclass.

    class TestMyQueue(ClientContract):
        system = "my_queue"

        def make_sender(self): return my_queue.Sender(...)
        def make_receiver(self, destination): return my_queue.Receiver(destination)
        def send(self, client, destination, headers): client.send(destination, b"body", headers)
        def receive(self, client, destination): return client.get(timeout=10)
        def headers(self, message): return message.headers

Clients are made bare here and wrapped by the tests. Asynchronous clients: :class:`AsyncClientContract`. Every test has
a destination of its own, so that one broker can serve all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import mqtrace
from mqtrace.core import Span

from .recording import record

__all__ = ["ClientContract"]

_TRACE = "a1" * 16
_PARENT = "b2" * 8
_SAMPLED = f"00-{_TRACE}-{_PARENT}-03"
_UNSAMPLED = f"00-{_TRACE}-{_PARENT}-02"

#: Malformed values of ``traceparent``: the message is handled, and each is counted once.
_MALFORMED = (
    "",
    "00",
    "nonsense",
    f"00-{'0' * 32}-{_PARENT}-01",
    f"00-{_TRACE}-{'0' * 16}-01",
    f"ff-{_TRACE}-{_PARENT}-01",
    f"00-{_TRACE.upper()}-{_PARENT}-01",
    f"00-{_TRACE}-{_PARENT}-01-more",
    "x" * 20_000,
)


class ClientContract:
    """Subclass it in a test module, set :attr:`system`, and override the hooks."""

    #: ``messaging.system`` of every span.
    system = ""
    #: The options of ``wrap`` for each client, see the page of the client.
    options: Mapping[str, Any] = {}
    #: How long a hostile header may be for the broker to take the message.
    header_bytes = 20_000

    # ------------------------------------------------------------------ hooks that every client has

    def make_sender(self) -> Any:
        """A bare client that sends. The contract wraps it."""
        raise NotImplementedError("a client contract needs make_sender()")

    def make_receiver(self, destination: str) -> Any:
        """A bare client that reads ``destination`` from its first message on. The contract wraps it."""
        raise NotImplementedError("a client contract needs make_receiver(destination)")

    def send(self, client: Any, destination: str, headers: Mapping[str, str] | None) -> None:
        """Send one message through a client, bare or wrapped, and wait until the broker has it."""
        raise NotImplementedError("a client contract needs send(client, destination, headers)")

    def receive(self, client: Any, destination: str) -> Any:
        """The next message, as a client (bare or wrapped) hands it to the application."""
        raise NotImplementedError("a client contract needs receive(client, destination)")

    def headers(self, message: Any) -> Mapping[str, str | bytes]:
        """The headers of a message that :meth:`receive` returned; empty if it has none."""
        raise NotImplementedError("a client contract needs headers(message)")

    # ------------------------------------------------------------------ hooks that some override

    def new_destination(self) -> str:
        """A destination of this test's own. Declare it here if the broker requires that."""
        return f"contract-{uuid.uuid4().hex[:12]}"

    def close(self, client: Any) -> None:
        """Close a client that a test is done with: ``client.close()``, if it has that."""
        close = getattr(client, "close", None)
        if close is not None:
            close()

    def handle(self, client: Any, destination: str, handler: Callable[[Any], Any]) -> None:
        """Have ``handler`` called with the next message, as the client's users have it: decorated, by default.

        The test of a client that calls back itself overrides this. The handler's exception must be raised here.
        """
        mqtrace.consumer(handler)(self.receive(client, destination))

    def sent_to(self, destination: str) -> str:
        """``messaging.destination.name`` of the send span."""
        return destination

    def taken_from(self, destination: str) -> str:
        """``messaging.destination.name`` of the process span."""
        return destination

    def native_headers(self, headers: Mapping[str, str]) -> Any:
        """Headers as the client's users write them, for the test that they are not changed."""
        return dict(headers)

    def send_native(self, client: Any, destination: str, headers: Any) -> None:
        """Send one message with headers of :meth:`native_headers`."""
        self.send(client, destination, headers)

    # ------------------------------------------------------------------ what the tests share

    def wrapped_sender(self, tracer: Any = None) -> Any:
        """The client that sends, wrapped."""
        return mqtrace.wrap(self.make_sender(), tracer=tracer, **self.options)

    def wrapped_receiver(self, destination: str, tracer: Any = None) -> Any:
        """The client that receives, wrapped."""
        return mqtrace.wrap(self.make_receiver(destination), tracer=tracer, **self.options)

    def send_wrapped(self, destination: str, headers: Mapping[str, str] | None = None, tracer: Any = None) -> None:
        """Send one message through a wrapped client that is closed afterwards."""
        client = self.wrapped_sender(tracer)
        try:
            self.send(client, destination, headers)
        finally:
            self.close(client)

    def send_bare(self, destination: str, headers: Mapping[str, str] | None = None) -> None:
        """Send one message through a bare client that is closed afterwards."""
        client = self.make_sender()
        try:
            self.send(client, destination, headers)
        finally:
            self.close(client)

    def on_the_wire(self, destination: str) -> dict[str, str]:
        """The headers of the next message, read through a bare client."""
        client = self.make_receiver(destination)
        try:
            return self._as_text(self.receive(client, destination))
        finally:
            self.close(client)

    def handled(self, destination: str, handler: Callable[[Any], Any], tracer: Any = None) -> None:
        """Have a wrapped client hand the next message to ``handler``."""
        client = self.wrapped_receiver(destination, tracer)
        try:
            self.handle(client, destination, handler)
        finally:
            self.close(client)

    # ------------------------------------------------------------------ wrapping

    def test_wrapping_twice_is_wrapping_once_and_unwrap_undoes_it(self) -> None:
        for raw in (self.make_sender(), self.make_receiver(self.new_destination())):
            wrapped = mqtrace.wrap(raw, **self.options)
            try:
                assert isinstance(wrapped, type(raw))
                assert mqtrace.wrap(wrapped) is wrapped
                assert mqtrace.unwrap(wrapped) is raw
            finally:
                self.close(wrapped)

    def test_a_wrapped_client_has_every_attribute_of_the_client(self) -> None:
        for raw in (self.make_sender(), self.make_receiver(self.new_destination())):
            wrapped = mqtrace.wrap(raw, **self.options)
            try:
                missing = [name for name in dir(type(raw)) if not hasattr(wrapped, name) and hasattr(raw, name)]
                assert missing == []
            finally:
                self.close(wrapped)

    def test_an_option_that_nobody_knows_is_one_sentence(self) -> None:
        raw = self.make_sender()
        sentence = ""
        try:
            mqtrace.wrap(raw, colour="red")
        except mqtrace.ConfigurationError as error:
            sentence = str(error)
        finally:
            self.close(raw)
        assert "colour" in sentence

    # ------------------------------------------------------------------ sending

    def test_a_send_span_says_what_was_sent_where_and_its_context_is_in_the_message(self) -> None:
        destination = self.new_destination()
        with record() as spans:
            self.send_wrapped(destination)
        (span,) = spans
        name = self.sent_to(destination)
        assert (span.name, span.kind, span.status) == (f"send {name}", "producer", "unset")
        expected = {
            "messaging.system": self.system,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": name,
        }
        assert expected.items() <= span.attributes.items()
        assert self.on_the_wire(destination)["traceparent"] == f"00-{span.trace_id}-{span.span_id}-03"

    def test_a_send_is_the_child_of_what_is_current(self) -> None:
        destination = self.new_destination()
        with record() as spans:
            with spans.tracer.start_span("request") as request:
                self.send_wrapped(destination)
                assert mqtrace.current_span() is request
        (sent,) = spans.named(f"send {self.sent_to(destination)}")
        assert (sent.trace_id, sent.parent_id) == (request.trace_id, request.span_id)

    def test_neither_body_nor_headers_land_on_a_span(self) -> None:
        destination = self.new_destination()
        with record() as spans:
            self.send_wrapped(destination, {"password": "hunter2"})
            self.handled(destination, lambda message: None)
        assert len(spans) == 2
        assert not [span for span in spans if "hunter2" in repr((span.attributes, span.events, span.links))]

    def test_what_is_not_sampled_sends_its_context_and_makes_no_span(self) -> None:
        destination = self.new_destination()
        with record(sampler=0.0) as spans:
            self.send_wrapped(destination)
        assert spans == []
        assert self.on_the_wire(destination)["traceparent"][-3:] == "-02"

    def test_before_configure_messages_go_out_as_they_are(self) -> None:
        destination = self.new_destination()
        self.send_wrapped(destination, {"mine": "x"})
        assert self.on_the_wire(destination) == {"mine": "x"}

    def test_without_propagators_messages_go_out_as_they_are(self) -> None:
        destination = self.new_destination()
        with record(propagators="none") as spans:
            self.send_wrapped(destination)
        assert len(spans) == 1
        assert self.on_the_wire(destination) == {}

    def test_the_users_headers_are_sent_and_not_changed(self) -> None:
        destination = self.new_destination()
        headers = self.native_headers({"mine": "x"})
        with record():
            client = self.wrapped_sender()
            try:
                self.send_native(client, destination, headers)
            finally:
                self.close(client)
        assert headers == self.native_headers({"mine": "x"})
        sent = self.on_the_wire(destination)
        assert sent["mine"] == "x"
        assert "traceparent" in sent

    def test_a_valid_context_of_the_users_is_kept_and_linked(self) -> None:
        destination = self.new_destination()
        with record() as spans:
            self.send_wrapped(destination, {"traceparent": _SAMPLED})
        (span,) = spans
        assert span.kind == "client"
        assert [link.context.span_id for link in span.links] == [_PARENT]
        assert self.on_the_wire(destination)["traceparent"] == _SAMPLED

    def test_a_malformed_context_of_the_users_is_replaced(self) -> None:
        destination = self.new_destination()
        with record() as spans:
            self.send_wrapped(destination, {"traceparent": "nonsense"})
        (span,) = spans
        assert self.on_the_wire(destination)["traceparent"] == f"00-{span.trace_id}-{span.span_id}-03"

    def test_baggage_goes_along_and_reaches_the_handler(self) -> None:
        destination = self.new_destination()
        baggage: list[Any] = []
        with record():
            with mqtrace.use(mqtrace.Context(None, None, {"tenant": "blue"})):
                self.send_wrapped(destination)
            self.handled(destination, lambda message: baggage.append(mqtrace.current_span().baggage))
        assert [dict(one) for one in baggage] == [{"tenant": "blue"}]

    def test_a_tracer_of_its_own_needs_no_global_state(self) -> None:
        destination = self.new_destination()
        with record("mine") as mine:
            pass
        with record("default") as default:
            self.send_wrapped(destination, tracer=mine.tracer)
        assert default == []
        assert [span.service for span in mine] == ["mine"]

    # ------------------------------------------------------------------ receiving

    def test_a_handler_runs_in_the_span_of_its_message(self) -> None:
        destination = self.new_destination()
        seen: list[Any] = []
        with record() as spans:
            self.send_wrapped(destination)
            self.handled(destination, lambda message: seen.append(mqtrace.current_span()))
            assert not mqtrace.current_span().is_recording()
        sent, processed = spans
        name = self.taken_from(destination)
        assert seen == [processed]
        assert (processed.name, processed.kind, processed.status) == (f"process {name}", "consumer", "unset")
        assert (processed.trace_id, processed.parent_id) == (sent.trace_id, sent.span_id)
        assert [link.context.span_id for link in processed.links] == [sent.span_id]
        expected = {
            "messaging.system": self.system,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": name,
        }
        assert expected.items() <= processed.attributes.items()

    def test_the_time_in_the_queue_is_on_the_process_span(self) -> None:
        destination = self.new_destination()
        with record() as spans:
            self.send_wrapped(destination)
            self.handled(destination, lambda message: None)
        waited = spans[-1].attributes["messaging.message.receive.latency"]
        assert isinstance(waited, float)
        assert 0 <= waited < 60_000

    def test_what_a_handler_raises_is_recorded_and_goes_on(self) -> None:
        destination = self.new_destination()
        self.send_bare(destination)

        def handler(message: Any) -> None:
            raise ZeroDivisionError("no pizza")

        raised: list[BaseException] = []
        with record() as spans:
            try:
                self.handled(destination, handler)
            except ZeroDivisionError as error:
                raised.append(error)
            assert len(raised) == 1
            assert not mqtrace.current_span().is_recording()
        (span,) = spans
        assert (span.status, span.status_description) == ("error", "no pizza")
        assert span.attributes["error.type"] == "ZeroDivisionError"

    def test_a_message_without_a_context_is_the_child_of_what_is_around(self) -> None:
        destination = self.new_destination()
        self.send_bare(destination)
        with record() as spans:
            with spans.tracer.start_span("tick") as tick:
                self.handled(destination, lambda message: None)
        (span,) = spans.named(f"process {self.taken_from(destination)}")
        assert span.parent_id == tick.span_id

    def test_a_message_inside_another_span_is_the_messages_child_and_linked_to_it(self) -> None:
        destination = self.new_destination()
        self.send_bare(destination, {"traceparent": _SAMPLED})
        with record() as spans:
            with spans.tracer.start_span("tick") as tick:
                self.handled(destination, lambda message: None)
        (span,) = spans.named(f"process {self.taken_from(destination)}")
        assert (span.trace_id, span.parent_id) == (_TRACE, _PARENT)
        assert tick.span_id in [link.context.span_id for link in span.links]

    def test_a_trace_that_is_not_sampled_goes_on_unsampled(self) -> None:
        destination = self.new_destination()
        self.send_bare(destination, {"traceparent": _UNSAMPLED})
        traces: list[str] = []
        with record() as spans:
            self.handled(destination, lambda message: traces.append(mqtrace.current_span().trace_id))
        assert traces == [_TRACE]
        assert spans == []

    def test_before_configure_a_context_passes_and_no_span_is_made(self) -> None:
        destination, onward = self.new_destination(), self.new_destination()
        self.send_bare(destination, {"traceparent": _SAMPLED})
        self.handled(destination, lambda message: self.send_wrapped(onward))
        assert self.on_the_wire(onward)["traceparent"] == _SAMPLED

    def test_a_malformed_context_is_counted_and_costs_no_message(self) -> None:
        destination = self.new_destination()
        for value in _MALFORMED:
            self.send_bare(destination, {"traceparent": value, "tracestate": value, "baggage": value})
        handled: list[Any] = []
        with record() as spans:
            client = self.wrapped_receiver(destination)
            try:
                for _ in _MALFORMED:
                    self.handle(client, destination, handled.append)
            finally:
                self.close(client)
            assert len(handled) == len(_MALFORMED)
            assert len(spans) == len(_MALFORMED)
            assert all(span.parent_id is None and not span.links for span in spans)
            assert spans.tracer.stats()["contexts_malformed"] >= len(_MALFORMED)

    # ------------------------------------------------------------------ messages in the application's hands

    def test_process_each_and_batch_know_its_messages(self) -> None:
        destination = self.new_destination()
        for _ in range(3):
            self.send_bare(destination, {"traceparent": _SAMPLED})
        with record() as spans:
            client = self.wrapped_receiver(destination)
            try:
                messages = [self.receive(client, destination) for _ in range(3)]
                assert not mqtrace.current_span().is_recording()
                with mqtrace.process(messages[0]) as span:
                    assert mqtrace.current_span() is span
                for _ in mqtrace.each(messages):
                    assert mqtrace.current_span().trace_id == _TRACE
                with mqtrace.batch(messages) as batch:
                    pass
            finally:
                self.close(client)
        assert isinstance(span, Span)
        assert [one.parent_id for one in spans[:4]] == [_PARENT] * 4
        assert [link.context.span_id for link in batch.links] == [_PARENT] * 3
        assert batch.attributes["messaging.batch.message_count"] == 3

    def test_a_rule_that_ignores_a_destination_makes_no_span_and_context_passes(self) -> None:
        destination, onward = self.new_destination(), self.new_destination()
        self.send_bare(destination, {"traceparent": _SAMPLED})
        with record(rules={self.sent_to(onward): "ignore", self.taken_from(destination): "ignore"}) as spans:
            self.handled(destination, lambda message: self.send_wrapped(onward))
        assert list(spans) == []
        assert self.on_the_wire(onward)["traceparent"] == _SAMPLED

    # ------------------------------------------------------------------ what strangers send, and what is sent on

    def test_hostile_headers_cost_no_message(self) -> None:
        destination = self.new_destination()
        long = "," * self.header_bytes
        hostile: tuple[Mapping[str, str], ...] = (
            {"traceparent": _SAMPLED, "tracestate": long},
            {"traceparent": _SAMPLED, "baggage": "=;" + long},
            {"traceparent": long, "b3": long, "uber-trace-id": ":" + long, "x-amzn-trace-id": ";" + long},
            {f"uberctx-{number}": "x" for number in range(1000)},
            {"TRACEPARENT": "\u00e9\u0000", "traceparent": "\u00e9", "tracestate": "\u20ac=\u20ac"},
        )
        for headers in hostile:
            self.send_bare(destination, headers)
        handled: list[Any] = []
        with record(propagators="tracecontext,baggage,b3,b3multi,jaeger,xray,datadog") as spans:
            client = self.wrapped_receiver(destination)
            try:
                for _ in hostile:
                    self.handle(client, destination, handled.append)
            finally:
                self.close(client)
        assert len(handled) == len(hostile)
        assert [span.status for span in spans] == ["unset"] * len(hostile)
        assert [span.parent_id for span in spans] == [_PARENT, _PARENT, None, None, None]

    def test_a_message_that_is_sent_on_with_its_headers_is_below_the_handler_that_sends_it(self) -> None:
        destination, onward = self.new_destination(), self.new_destination()
        with record() as spans:
            self.send_wrapped(destination, {"mine": "x"})
            self.handled(destination, lambda message: self.send_wrapped(onward, self._as_text(message)))
        (handling,) = spans.named(f"process {self.taken_from(destination)}")
        (sent,) = spans.named(f"send {self.sent_to(onward)}")
        assert (sent.kind, sent.trace_id, sent.parent_id) == ("producer", handling.trace_id, handling.span_id)
        wire = self.on_the_wire(onward)
        assert (wire["mine"], wire["traceparent"]) == ("x", f"00-{sent.trace_id}-{sent.span_id}-03")

    def test_nothing_is_current_after_a_send_a_message_and_what_fails(self) -> None:
        destination = self.new_destination()

        def fail(message: Any) -> None:
            raise ZeroDivisionError

        with record():
            self.send_wrapped(destination)
            assert mqtrace.current_span().trace_id == "0" * 32
            client = self.wrapped_receiver(destination)
            try:
                try:
                    self.handle(client, destination, fail)
                except ZeroDivisionError:
                    pass
                assert mqtrace.current_span().trace_id == "0" * 32
            finally:
                self.close(client)
            assert mqtrace.current_span().trace_id == "0" * 32

    def _as_text(self, message: Any) -> dict[str, str]:
        headers = self.headers(message)
        return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()}
