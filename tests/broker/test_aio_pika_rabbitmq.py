"""What is special about aio-pika, on a real RabbitMQ: returns, outcomes, callbacks, tasks that end early."""

from __future__ import annotations

import asyncio
import functools
import gc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika.patterns import RPC, Master

import mqtrace
from mqtrace.testing import Spans, record

CONNECTS = [aio_pika.connect, aio_pika.connect_robust]


class Broker:
    """A connection, and channels of it that are traced."""

    def __init__(self, url: str, connect: Any) -> None:
        self.url, self.connect = url, connect

    @asynccontextmanager
    async def channel(self, **options: Any) -> AsyncIterator[Any]:
        connection = await self.connect(self.url)
        async with connection:
            yield mqtrace.wrap(await connection.channel(**options))

    def run(self, test: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        """Run a coroutine function with a traced channel; its loop may complain of nothing."""
        result, complaints = self.watched(test, **options)
        assert complaints == []
        return result

    def watched(self, test: Callable[[Any], Awaitable[Any]], **options: Any) -> tuple[Any, list[str]]:
        """The same, and what the loop complained of."""
        complaints: list[Any] = []

        async def main() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
            async with self.channel(**options) as channel:
                return await asyncio.wait_for(test(channel), 30)

        result = asyncio.run(main())
        gc.collect()
        return result, complaints


@pytest.fixture(params=CONNECTS, ids=["plain", "robust"])
def broker(rabbitmq_url: str, request: pytest.FixtureRequest) -> Broker:
    return Broker(rabbitmq_url, request.param)


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record() as found:
        yield found


async def queue_of(channel: Any) -> Any:
    return await channel.declare_queue(f"aio-{uuid.uuid4().hex[:12]}", exclusive=True)


async def send(channel: Any, queue: Any, **properties: Any) -> Any:
    return await channel.default_exchange.publish(aio_pika.Message(b"body", **properties), queue.name)


async def consumed(queue: Any, callback: Any, **options: Any) -> None:
    """Have the callback called with one message, and wait until its span has ended."""
    done = asyncio.get_running_loop().create_future()

    async def first(message: Any) -> None:
        try:
            await callback(message)
        finally:
            asyncio.get_running_loop().call_soon(done.cancel)

    tag = await queue.consume(first, **options)
    await asyncio.wait([done])
    await asyncio.sleep(0.01)
    await queue.cancel(tag)


def outcomes(spans: Spans) -> list[Any]:
    return [span.attributes.get("mqtrace.outcome") for span in spans if span.kind == "consumer"]


# ---------------------------------------------------------------------- publishing


def test_what_comes_back_without_raising_is_an_error_of_its_send_span(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        returned: list[Any] = []
        channel.return_callbacks.add(lambda sender, message: returned.append(message))
        result = await channel.default_exchange.publish(aio_pika.Message(b""), "nobody-reads-this")
        assert type(result).__name__ == "DeliveredMessage"
        await asyncio.sleep(0)
        assert len(returned) == 1

    broker.run(test)
    (span,) = spans
    assert (span.status, span.status_description) == ("error", "312 NO_ROUTE")
    assert span.attributes["error.type"] == "aiormq.exceptions.PublishError"


def test_a_returned_message_that_raises_has_the_same_error_type(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        with pytest.raises(aio_pika.exceptions.PublishError):
            await channel.default_exchange.publish(aio_pika.Message(b""), "nobody-reads-this")

    broker.run(test, on_return_raises=True)
    (span,) = spans
    assert (span.status, span.attributes["error.type"]) == ("error", "aiormq.exceptions.PublishError")


def test_without_confirms_the_span_ends_when_the_message_is_handed_over(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        assert await channel.default_exchange.publish(aio_pika.Message(b""), "nobody-reads-this") is None

    broker.run(test, publisher_confirms=False)
    assert [span.status for span in spans] == ["unset"]


def test_a_publish_that_is_cancelled_ends_its_span_with_that(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        task = asyncio.ensure_future(send(channel, queue))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    broker.run(test)
    (span,) = spans
    assert (span.status, span.attributes["error.type"]) == ("error", "CancelledError")


@pytest.mark.parametrize("name", ["", "named"])
def test_the_message_is_the_callers_and_may_be_sent_again(broker: Broker, spans: Spans, name: str) -> None:
    async def test(channel: Any) -> list[Any]:
        queue = await queue_of(channel)
        exchange = channel.default_exchange
        if name:
            exchange = await channel.declare_exchange(queue.name, auto_delete=True)
            await queue.bind(exchange, queue.name)
        headers: Any = {"mine": "x"}
        message = aio_pika.Message(b"body", headers=headers, correlation_id="7")
        for _ in range(2):
            await exchange.publish(message, queue.name)
        assert message.headers is headers
        assert headers == {"mine": "x"}
        return [(await queue.get(no_ack=True)).headers for _ in range(2)]

    found = broker.run(test)
    assert [one["traceparent"][36:52] for one in found] == [span.span_id for span in spans]
    assert [one["mine"] for one in found] == ["x", "x"]
    assert {span.attributes["messaging.message.conversation_id"] for span in spans} == {"7"}


async def refusal(exchange: Any, args: Any, kwargs: Any) -> type | None:
    """The class of what ``publish`` raises; None if it takes these arguments: of bytes that depends on its version."""
    try:
        await exchange.publish(*args, **kwargs)
    except Exception as error:
        return type(error)
    return None


def test_what_the_client_refuses_is_refused_as_by_the_bare_one(broker: Broker, spans: Spans) -> None:
    message = aio_pika.Message(b"")
    wrong: list[tuple[Any, Any]] = [
        ((b"no message", "key"), {}),
        ((message,), {}),
        ((message, "key"), {"colour": "red"}),
        ((aio_pika.Message(b"", headers={"bytes": b"x"}), "key"), {}),
    ]

    async def traced(channel: Any) -> list[type | None]:
        return [await refusal(channel.default_exchange, args, kwargs) for args, kwargs in wrong]

    async def bare(channel: Any) -> list[type | None]:
        return [await refusal(mqtrace.unwrap(channel.default_exchange), args, kwargs) for args, kwargs in wrong]

    refused, complaints = broker.watched(traced)
    refused_bare, complaints_bare = broker.watched(bare)
    assert refused == refused_bare
    # aio-pika 9.4 leaves the future of a confirm behind, and asyncio complains of it: with and without us
    assert {*complaints} <= {*complaints_bare}


# ---------------------------------------------------------------------- consuming


def test_the_outcome_is_what_the_callback_does(broker: Broker, spans: Spans) -> None:
    async def ack(message: Any) -> None:
        await message.ack()

    async def nack(message: Any) -> None:
        await message.nack(requeue=False)

    async def reject(message: Any) -> None:
        await message.reject()

    async def requeue(message: Any) -> None:
        await message.reject(requeue=not message.redelivered)

    async def test(channel: Any) -> None:
        for callback in (ack, nack, reject):
            queue = await queue_of(channel)
            await send(channel, queue)
            await consumed(queue, callback)
        queue = await queue_of(channel)
        await send(channel, queue)
        await consumed(queue, requeue)

    broker.run(test)
    assert outcomes(spans)[:4] == ["ack", "nack", "reject", "requeue"]


def test_message_process_says_what_it_did(broker: Broker, spans: Spans) -> None:
    async def works(message: Any) -> None:
        async with message.process():
            pass

    async def fails(message: Any, **options: Any) -> None:
        try:
            async with message.process(**options):
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    async def test(channel: Any) -> None:
        for callback in (works, fails, functools.partial(fails, requeue=True)):
            queue = await queue_of(channel)
            await send(channel, queue)
            await consumed(queue, callback)

    broker.run(test)
    assert outcomes(spans)[:3] == ["ack", "reject", "requeue"]


def test_messages_without_acknowledgement_have_the_outcome_auto(broker: Broker, spans: Spans) -> None:
    async def nothing(message: Any) -> None:
        pass

    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        await send(channel, queue)
        await consumed(queue, nothing, no_ack=True)
        await send(channel, queue)
        with mqtrace.process(await queue.get(no_ack=True)):
            pass
        await send(channel, queue)
        async with queue.iterator(no_ack=True) as iterator, mqtrace.each(iterator) as messages:
            async for _ in messages:
                break

    broker.run(test)
    assert outcomes(spans) == ["auto"] * 3


def test_the_outcome_of_multiple_is_noted_on_every_open_span(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        for _ in range(3):
            await send(channel, queue)
        messages = [await queue.get() for _ in range(3)]
        with mqtrace.process(messages[0]), mqtrace.process(messages[1]), mqtrace.process(messages[2]):
            await messages[1].ack(multiple=True)
            await messages[2].nack(requeue=False)

    broker.run(test)
    assert sorted(map(str, outcomes(spans))) == ["ack", "ack", "nack"]


@pytest.mark.parametrize("settled", ["before", "after"])
def test_process_and_a_decorator_in_a_callback_make_no_second_span(broker: Broker, spans: Spans, settled: str) -> None:
    @mqtrace.consumer(name="cook")
    async def decorated(message: Any) -> None:
        if settled == "before":
            await message.ack()
        async with mqtrace.process(message) as span:
            assert mqtrace.current_span() is span
            assert span.name == "cook"
            await asyncio.gather(asyncio.ensure_future(inner(message)))
        if settled == "after":
            await message.ack()

    @mqtrace.consumer
    async def inner(message: Any) -> None:
        assert mqtrace.current_span().name == "cook"

    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        await send(channel, queue)
        tag = await queue.consume(decorated)
        await asyncio.sleep(0.2)
        await queue.cancel(tag)

    broker.run(test)
    assert [span.name for span in spans if span.kind == "consumer"] == ["cook"]
    assert outcomes(spans) == ["ack"]


def test_a_batch_of_a_message_by_itself_is_a_batch_of_one(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        await send(channel, queue)
        with mqtrace.batch(await queue.get(no_ack=True)):
            pass

    broker.run(test)
    (batch,) = (span for span in spans if span.kind == "consumer")
    assert batch.attributes["messaging.batch.message_count"] == 1


def test_a_function_is_a_callback_as_aio_pika_has_it(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        done = asyncio.get_running_loop().create_future()
        await send(channel, queue)
        with pytest.warns(DeprecationWarning, match="non-coroutine"):
            await queue.consume(lambda message: done.set_result(mqtrace.current_span()), no_ack=True)
        span = await done
        await asyncio.sleep(0.01)
        assert span.ended

    broker.run(test)
    assert outcomes(spans) == ["auto"]


def test_a_callback_that_is_cancelled_ends_its_span_with_that(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        await send(channel, queue)
        tasks: list[Any] = []

        async def sleeps(message: Any) -> None:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(60)

        await queue.consume(sleeps)
        while not tasks:
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.wait(tasks)

    broker.run(test)
    (span,) = [one for one in spans if one.kind == "consumer"]
    assert (span.status, span.attributes["error.type"]) == ("error", "CancelledError")


def test_a_loop_that_is_closed_ends_the_spans_of_what_it_never_finishes(rabbitmq_url: str, spans: Spans) -> None:
    async def start() -> None:
        connection = await aio_pika.connect(rabbitmq_url)
        channel = mqtrace.wrap(await connection.channel())
        queue = await queue_of(channel)
        await send(channel, queue)
        running = asyncio.Event()

        async def sleeps(message: Any) -> None:
            running.set()
            await asyncio.sleep(60)

        await queue.consume(sleeps)
        await running.wait()

    asyncio.run(start())  # which cancels what is left
    assert not mqtrace.current_span().is_recording()
    (span,) = [one for one in spans if one.kind == "consumer"]
    assert (span.status, span.attributes["error.type"]) == ("error", "CancelledError")


def test_callbacks_side_by_side_have_their_own_message_current(broker: Broker, spans: Spans) -> None:
    """1,000 messages of 100 traces, all of them in callbacks at once."""

    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        everybody, seen, settled = asyncio.Event(), [], []
        traces = [spans.tracer.start_span(f"trace {number}", parent=None) for number in range(100)]

        async def publish(number: int) -> None:
            with mqtrace.use(traces[number % 100]):
                await send(channel, queue, headers={"number": number % 100})

        async def handle(message: Any) -> None:
            async with message.process():
                before = mqtrace.current_span()
                seen.append((message.headers["number"], before.trace_id))
                if len(seen) == 1000:
                    everybody.set()
                await everybody.wait()
                assert mqtrace.current_span() is before
            settled.append(message.delivery_tag)

        await asyncio.gather(*[publish(number) for number in range(1000)])
        await queue.consume(handle)
        while len(settled) < 1000:
            await asyncio.sleep(0.01)
        for trace in traces:
            trace.end()
        assert set(seen) == {(number, trace.trace_id) for number, trace in enumerate(traces)}

    broker.run(test)
    assert outcomes(spans) == ["ack"] * 1000


def test_a_bare_loop_over_a_queue_gives_messages_that_know_their_queue(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> str:
        queue = await queue_of(channel)
        await send(channel, queue)
        async for message in queue:
            assert not mqtrace.current_span().is_recording()
            async with mqtrace.process(message), message.process():
                pass
            break
        return str(queue.name)

    name = broker.run(test)
    assert [span.name for span in spans] == [f"send {name}", f"process {name}"]
    assert outcomes(spans) == ["ack"]


def test_what_a_channel_returns_is_of_its_kind_and_leads_back(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        assert isinstance(channel, aio_pika.Channel)
        assert isinstance(queue, aio_pika.Queue)
        assert isinstance(channel.default_exchange, aio_pika.Exchange)
        assert channel.default_exchange is channel.default_exchange
        assert mqtrace.wrap(queue) is queue
        again = mqtrace.wrap(mqtrace.unwrap(queue))
        await mqtrace.wrap(mqtrace.unwrap(channel.default_exchange)).publish(aio_pika.Message(b""), queue.name)
        message = await again.get()
        assert type(message) is aio_pika.IncomingMessage
        await message.ack()

    broker.run(test)
    assert len(spans) == 1


def test_a_connection_is_told_what_to_wrap(rabbitmq_url: str) -> None:
    async def test() -> None:
        async with await aio_pika.connect(rabbitmq_url) as connection:
            for thing in (connection, aio_pika.Channel):
                with pytest.raises(TypeError, match=r"mqtrace\.wrap\(await connection\.channel\(\)\)"):
                    mqtrace.wrap(thing)
            async with mqtrace.wrap(connection.channel()) as channel:
                assert mqtrace.unwrap(channel.default_exchange) is not channel.default_exchange
            channel = await mqtrace.wrap(connection.channel())
            assert mqtrace.wrap(channel) is channel

    asyncio.run(test())


# ---------------------------------------------------------------------- patterns


def test_a_call_and_its_reply_are_one_trace(broker: Broker, spans: Spans) -> None:
    async def multiply(*, x: int, y: int) -> int:
        return x * y

    async def test(channel: Any) -> None:
        rpc = await RPC.create(channel)
        name = f"multiply-{uuid.uuid4().hex[:8]}"
        await rpc.register(name, multiply, auto_delete=True)
        with spans.tracer.start_span("caller"):
            assert await rpc.call(name, {"x": 6, "y": 7}) == 42
        await rpc.close()

    broker.run(test)
    assert sorted(span.kind for span in spans) == ["consumer", "consumer", "internal", "producer", "producer"]
    assert len({span.trace_id for span in spans}) == 1
    assert len({span.attributes["messaging.message.conversation_id"] for span in spans if span.kind != "internal"}) == 1


def test_a_worker_of_master_runs_in_the_span_of_its_task(broker: Broker, spans: Spans) -> None:
    async def test(channel: Any) -> None:
        master, done = Master(channel), asyncio.get_running_loop().create_future()

        async def work(*, number: int) -> None:
            done.set_result((number, mqtrace.current_span()))

        name = f"task-{uuid.uuid4().hex[:8]}"
        worker = await master.create_worker(name, work, auto_delete=True)
        await master.create_task(name, {"number": 5})
        number, span = await done
        await asyncio.sleep(0.05)
        assert (number, span.kind, span.ended > 0) == (5, "consumer", True)
        await worker.close()

    broker.run(test)
    assert outcomes(spans) == ["ack"]


# ---------------------------------------------------------------------- spans that are asked for


def test_receive_and_settle_spans(broker: Broker) -> None:
    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        for _ in range(2):
            await send(channel, queue)
        message = await queue.get()
        with mqtrace.process(message):
            pass
        await message.ack()
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)

        await consumed(queue, keep)
        await kept[0].nack(requeue=False)

    with record(receive_spans=True, settle_spans=True) as spans:
        broker.run(test)
    first, second = [span for span in spans if span.kind == "consumer"]
    (received,) = [span for span in spans if span.name.startswith("receive ")]
    settled = {span.name.partition(" ")[0]: span for span in spans if span.name.startswith(("ack ", "nack "))}
    assert [link.context.span_id for link in received.links] == [first.parent_id]
    assert (settled["ack"].parent_id, settled["nack"].parent_id) == (first.span_id, second.span_id)
    assert {span.kind for span in settled.values()} == {"client"}


# ---------------------------------------------------------------------- hostile headers


@pytest.mark.parametrize(
    "value",
    [7, True, None, b"\xff\xfe", bytearray(b"\xff"), [1], {"a": {"b": []}}, "\u00e9" * 99, "", 1.5],
    ids=repr,
)
def test_a_header_of_any_type_costs_no_message(broker: Broker, spans: Spans, value: Any) -> None:
    value = bytearray(value) if isinstance(value, bytes) else value  # pamqp sends bytes so
    hostile = dict.fromkeys(("traceparent", "tracestate", "baggage", "x-death", "x-delivery-count"), value)

    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        await mqtrace.unwrap(channel.default_exchange).publish(aio_pika.Message(b"", headers=hostile), queue.name)
        seen: list[Any] = []

        async def handle(message: Any) -> None:
            seen.append(message.headers["traceparent"])
            await message.ack()

        await consumed(queue, handle)
        assert len(seen) == 1

    broker.run(test)
    (span,) = spans
    assert (span.status, span.parent_id) == ("unset", None)


def test_a_traceparent_of_bytes_is_read(broker: Broker, spans: Spans) -> None:
    parent = f"00-{'a1' * 16}-{'b2' * 8}-03"

    async def test(channel: Any) -> None:
        queue = await queue_of(channel)
        message = aio_pika.Message(b"", headers={"traceparent": bytearray(parent.encode())})
        await mqtrace.unwrap(channel.default_exchange).publish(message, queue.name)
        with mqtrace.process(await queue.get(no_ack=True)):
            pass

    broker.run(test)
    (span,) = spans
    assert (span.trace_id, span.parent_id) == ("a1" * 16, "b2" * 8)
