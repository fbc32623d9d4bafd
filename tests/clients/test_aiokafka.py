"""aiokafka's producers and consumers, traced, on the embedded cluster: what the contract of clients does not ask."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import (  # type: ignore[import-untyped]  # it has no types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import MessageSizeTooLargeError  # type: ignore[import-untyped]  # ditto

import mqtrace
from mqtrace.testing import Spans, record

TRACE = "a1" * 16
PARENT = "b2" * 8
HEADERS = (("traceparent", f"00-{TRACE}-{PARENT}-03".encode()),)


@pytest.fixture
def topic() -> str:
    return f"aiokafka-{uuid.uuid4().hex[:12]}"


def run(main: Coroutine[Any, Any, Any]) -> list[str]:
    """Run it in a loop of its own. Returns what that loop complained of."""
    complaints: list[str] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        await main
        gc.collect()

    asyncio.run(watched())
    return complaints


@asynccontextmanager
async def producing(cluster: str, **settings: Any) -> AsyncIterator[Any]:
    async with mqtrace.wrap(AIOKafkaProducer(bootstrap_servers=cluster, **settings)) as producer:
        yield producer


@asynccontextmanager
async def reading(cluster: str, topic: str, **settings: Any) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster, auto_offset_reset="earliest", **settings)
    consumer.assign([TopicPartition(topic, 0)])
    async with mqtrace.wrap(consumer) as wrapped:
        yield wrapped


def made_by_hand(**changed: Any) -> Any:
    fields: dict[str, Any] = {"topic": "orders", "partition": 3, "offset": 7, "timestamp": 1, "timestamp_type": 0}
    fields.update(key=None, value=b"x", checksum=None, serialized_key_size=-1, serialized_value_size=1, headers=HEADERS)
    return ConsumerRecord(**{**fields, **changed})


# ---------------------------------------------------------------------- sending


def test_a_send_span_says_partition_and_offset_when_the_future_is_done(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            future = await producer.send(topic, b"x", partition=1)
            assert spans == []
            metadata = await future
            (span,) = spans
            assert span.attributes["messaging.destination.partition.id"] == "1"
            assert span.attributes["messaging.kafka.offset"] == metadata.offset == 0

    assert run(main()) == []


def test_a_future_that_nobody_awaits_ends_its_span_too(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            await producer.send(topic, b"x", partition=0)

    assert run(main()) == []
    assert [(span.status, span.attributes["messaging.kafka.offset"]) for span in spans] == [("unset", 0)]


class Broken(AIOKafkaProducer):  # type: ignore[misc]  # of no type
    """Its sends fail after they were taken."""

    async def send(
        self,
        topic: Any,
        value: Any = None,
        key: Any = None,
        partition: Any = None,
        timestamp_ms: Any = None,
        headers: Any = None,
    ) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_exception, ValueError("broken"))
        return future


@pytest.mark.parametrize(("awaits", "complaints"), [(True, []), (False, ["Future exception was never retrieved"])])
def test_an_error_of_a_future_is_on_its_span_and_is_for_the_application_to_retrieve(
    cluster: str, topic: str, spans: Spans, awaits: bool, complaints: list[str]
) -> None:
    async def main() -> None:
        producer = mqtrace.wrap(Broken(bootstrap_servers=cluster))
        future = await producer.send(topic, b"x")
        if awaits:
            with pytest.raises(ValueError, match="broken"):
                await future
        else:
            await asyncio.wait([future])
        del future
        await producer.stop()

    assert run(main()) == complaints
    assert [(span.status, span.attributes["error.type"]) for span in spans] == [("error", "ValueError")]


def test_a_future_that_is_cancelled_ends_its_span_with_that(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster, linger_ms=200) as producer:
            (await producer.send(topic, b"x")).cancel()

    assert run(main()) == []
    assert [span.attributes["error.type"] for span in spans] == ["CancelledError"]


def test_without_acknowledgements_a_span_ends_without_an_offset(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster, acks=0) as producer:
            assert await producer.send_and_wait(topic, b"x", partition=0) is None

    assert run(main()) == []
    (span,) = spans
    assert (span.status, "messaging.kafka.offset" in span.attributes) == ("unset", False)


def test_a_send_that_is_refused_raises_the_clients_error_and_ends_its_span_with_it(
    cluster: str, topic: str, spans: Spans
) -> None:
    async def main() -> None:
        async with producing(cluster, max_request_size=100) as producer:
            with pytest.raises(MessageSizeTooLargeError):
                await producer.send(topic, b"x" * 1000)
            with pytest.raises(AssertionError, match="key or value"):
                await producer.send(topic)

    assert run(main()) == []
    assert [span.status for span in spans] == ["error", "error"]


def test_a_send_that_is_cancelled_ends_its_span_with_that(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            for call in (producer.send, producer.send_and_wait):
                task = asyncio.ensure_future(call(topic, b"x"))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()

    assert run(main()) == []
    assert [span.attributes["error.type"] for span in spans] == ["CancelledError"] * 2


@pytest.mark.parametrize("headers", [(("a", b"x"),), {"a": b"x"}, [["a", b"x"]], [("a", "text")], iter([("a", b"x")])])
def test_headers_that_the_client_refuses_are_refused_with_its_words(
    cluster: str, topic: str, spans: Spans, headers: Any
) -> None:
    async def refusal(producer: Any) -> str:
        with pytest.raises(TypeError) as raised:
            await producer.send(topic, b"x", headers=headers)
        return str(raised.value)

    async def main() -> None:
        async with producing(cluster) as producer:
            assert await refusal(producer) == await refusal(mqtrace.unwrap(producer))

    assert run(main()) == []
    assert [span.attributes["error.type"] for span in spans] == ["TypeError"]


@pytest.mark.parametrize("headers", [None, [], (), {}])
def test_no_headers_of_any_kind_are_taken_as_the_client_takes_them(
    cluster: str, topic: str, spans: Spans, headers: Any
) -> None:
    async def main() -> None:
        async with producing(cluster) as producer, reading(cluster, topic) as consumer:
            await producer.send_and_wait(topic, b"x", partition=0, headers=headers)
            assert [name for name, _ in (await consumer.getone()).headers] == ["traceparent"]

    assert run(main()) == []


def test_a_null_header_and_a_repeated_name_go_along(cluster: str, topic: str, spans: Spans) -> None:
    given = [("a", b"1"), ("a", b"2"), ("n", None)]

    async def main() -> None:
        async with producing(cluster) as producer, reading(cluster, topic) as consumer:
            with mqtrace.use(mqtrace.Context(None, "vendor=1", {"tenant": "blue"})):
                await producer.send_and_wait(topic, None, b"k", partition=0, headers=given)
            message = await consumer.getone()
            assert list(message.headers[:3]) == given
            assert {name for name, _ in message.headers[3:]} == {"traceparent", "baggage"}
            with mqtrace.process(message):
                pass

    assert run(main()) == []
    assert len(given) == 3
    assert [span.attributes["messaging.kafka.message.tombstone"] for span in spans] == [True, True]


def test_what_waits_for_its_future_when_the_producer_is_dropped_with_its_loop_ends_as_an_error(
    cluster: str, topic: str, spans: Spans
) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # of the client: it was not closed

    async def main() -> None:
        producer = mqtrace.wrap(AIOKafkaProducer(bootstrap_servers=cluster, linger_ms=60_000))
        await producer.start()
        await producer.send(topic, b"x")

    loop.run_until_complete(main())
    loop.close()
    gc.collect()
    (span,) = spans
    assert (span.status, span.attributes["error.type"]) == ("error", "no_delivery_report")


def test_what_waits_at_shutdown_is_exported(cluster: str, topic: str) -> None:
    async def main(spans: Spans) -> None:
        async with producing(cluster, linger_ms=300) as producer:
            await producer.send(topic, b"x")
            spans.tracer.shutdown()
            assert [span.status for span in spans] == ["unset"]

    with record() as spans:
        run(main(spans))
    assert len(spans) == 1


# ---------------------------------------------------------------------- batches


def test_a_batch_has_a_create_span_a_message_and_one_send_span_that_links_to_them(
    cluster: str, topic: str, spans: Spans
) -> None:
    async def main() -> None:
        async with producing(cluster) as producer, reading(cluster, topic) as consumer:
            batch = producer.create_batch()
            for number in range(3):
                assert batch.append(timestamp=None, key=None, value=b"%d" % number, headers=[("a", b"b")]) is not None
            assert batch.record_count() == 3
            batch.close()
            future = await producer.send_batch(batch, topic, partition=0)
            await future
            *created, sent = spans
            carried = [dict((await consumer.getone()).headers) for _ in range(3)]
            assert [one["traceparent"].decode() for one in carried] == [
                f"00-{span.trace_id}-{span.span_id}-03" for span in created
            ]
            assert [one["a"] for one in carried] == [b"b"] * 3
            assert [(span.name, span.kind) for span in created] == [("create", "producer")] * 3
            assert (sent.name, sent.kind) == (f"send {topic}", "client")
            assert [link.context.span_id for link in sent.links] == [span.span_id for span in created]
            assert not any(link.remote for link in sent.links)
            assert sent.attributes["messaging.batch.message_count"] == 3

    assert run(main()) == []
    assert len(spans) == 4


def test_a_message_that_a_full_batch_refuses_has_no_span(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster, max_batch_size=1000) as producer:
            batch = producer.create_batch()
            taken = 0
            while batch.append(timestamp=None, key=None, value=b"x" * 100) is not None:
                taken += 1
            assert len(spans) == taken == batch.record_count()
            with pytest.raises(TypeError):
                producer.create_batch().append(timestamp=None, key=None, value=b"x", headers=(("a", b"b"),))

    assert run(main()) == []
    assert spans[-1].attributes["error.type"] == "TypeError"


def test_a_batch_that_the_bare_client_built_has_a_send_span_without_links(
    cluster: str, topic: str, spans: Spans
) -> None:
    async def main() -> None:
        async with producing(cluster) as producer, reading(cluster, topic) as consumer:
            batch = mqtrace.unwrap(producer).create_batch()
            batch.append(timestamp=None, key=None, value=b"x")
            await (await producer.send_batch(batch, topic, partition=0))
            assert (await consumer.getone()).headers == ()
            with pytest.raises(AssertionError, match="partition"):
                await producer.send_batch(batch, topic, partition=77)

    assert run(main()) == []
    assert [(span.kind, span.status, list(span.links)) for span in spans] == [
        ("client", "unset", []),
        ("client", "error", []),
    ]


# ---------------------------------------------------------------------- receiving


def test_a_record_says_partition_offset_and_time_in_the_queue(spans: Spans) -> None:
    with mqtrace.process(made_by_hand()) as span:
        pass
    assert isinstance(span, mqtrace.Span)
    assert (span.name, span.trace_id, span.parent_id) == ("process orders", TRACE, PARENT)
    assert span.attributes["messaging.destination.partition.id"] == "3"
    assert span.attributes["messaging.kafka.offset"] == 7
    assert "messaging.kafka.message.tombstone" not in span.attributes


def test_what_a_deserializer_makes_of_a_value_does_not_make_it_a_tombstone(spans: Spans) -> None:
    for record_ in (made_by_hand(value=None), made_by_hand(value="none", serialized_value_size=-1)):
        with mqtrace.process(record_):
            pass
    assert [span.attributes.get("messaging.kafka.message.tombstone") for span in spans] == [None, True]


def test_getmany_s_messages_go_to_batch_and_to_each(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            for _ in range(3):
                await producer.send_and_wait(topic, b"x", partition=0)
        sent = [span.span_id for span in spans]
        async with reading(cluster, topic) as consumer:
            messages: dict[Any, list[Any]] = {}
            while sum(map(len, messages.values())) < 3:  # a fetch may return fewer
                for partition, some in (await consumer.getmany(timeout_ms=5000)).items():
                    messages.setdefault(partition, []).extend(some)
            async with mqtrace.batch(messages) as span:
                assert [link.context.span_id for link in span.links] == sent
            assert [mqtrace.current_span().parent_id for _ in mqtrace.each(messages)] == sent

    assert run(main()) == []
    assert len(spans) == 7


def test_async_for_over_each_of_a_consumer_has_every_message_current(cluster: str, topic: str, spans: Spans) -> None:
    seen: list[Any] = []

    async def main(wrap: Callable[[Any], Any]) -> None:
        async with producing(cluster) as producer, reading(cluster, topic, consumer_timeout_ms=100) as consumer:
            for _ in range(2):
                await producer.send_and_wait(topic, b"x", partition=0)
            async with mqtrace.each(wrap(consumer)) as messages:
                async for message in messages:
                    await asyncio.sleep(0)
                    seen.append((message.offset, mqtrace.current_span().attributes["messaging.kafka.offset"]))
                    if len(seen) % 2 == 0:
                        break
            assert not mqtrace.current_span().is_recording()

    assert run(main(lambda consumer: consumer)) == []
    assert run(main(mqtrace.unwrap)) == []
    assert seen == [(0, 0), (1, 1), (0, 0), (1, 1)]


def test_a_process_span_says_the_group_client_and_server_of_its_consumer(
    cluster: str, topic: str, spans: Spans
) -> None:
    consumer_class = mqtrace.wrap(AIOKafkaConsumer)

    async def main() -> None:
        async with producing(cluster, client_id="till") as producer:
            await producer.send_and_wait(topic, b"x", partition=0)
        settings = {"group_id": f"group-{topic}", "client_id": "kitchen", "auto_offset_reset": "earliest"}
        async with consumer_class(topic, bootstrap_servers=cluster, **settings) as consumer:
            with mqtrace.process(await consumer.getone()):
                pass
        other = AIOKafkaConsumer(bootstrap_servers=cluster, auto_offset_reset="earliest")
        options: dict[str, Any] = {"group_id": "told", "client_id": "told too"}
        options["bootstrap_servers"] = "kafka.example:9093"
        async with mqtrace.wrap(other, **options) as wrapped:
            wrapped.assign([TopicPartition(topic, 0)])
            with mqtrace.process(await wrapped.getone()):
                pass

    assert run(main()) == []
    _, first, second = spans
    host, port = cluster.split(",")[0].split(":")
    said = ("messaging.consumer.group.name", "messaging.client.id", "server.address", "server.port")
    assert [first.attributes[name] for name in said] == [f"group-{topic}", "kitchen", host, int(port)]
    assert [second.attributes[name] for name in said] == ["told", "told too", "kafka.example", 9093]


def test_two_groups_that_read_a_topic_in_one_process_are_told_apart(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            await producer.send_and_wait(topic, b"x", partition=0)
        bare = [AIOKafkaConsumer(bootstrap_servers=cluster, auto_offset_reset="earliest") for _ in range(2)]
        first, second = (mqtrace.wrap(one, group_id=name) for one, name in zip(bare, "ab", strict=True))
        async with first, second:
            for one in (first, second):
                one.assign([TopicPartition(topic, 0)])
            with mqtrace.process(await first.getone()):
                pass
            async for message in second:
                with mqtrace.process(message):
                    break

    assert run(main()) == []
    assert [span.attributes["messaging.consumer.group.name"] for span in spans[1:]] == ["a", "b"]


def test_receive_and_settle_spans_are_made_where_they_are_asked_for(cluster: str, topic: str) -> None:
    async def main() -> None:
        async with producing(cluster) as producer:
            for _ in range(3):
                await producer.send_and_wait(topic, b"x", partition=0)
        consumer_class = mqtrace.wrap(AIOKafkaConsumer)
        settings = {"group_id": f"group-{topic}", "auto_offset_reset": "earliest", "enable_auto_commit": False}
        async with consumer_class(topic, bootstrap_servers=cluster, **settings) as consumer:
            await consumer.getone()
            async for _ in consumer:
                break
            await consumer.getmany(timeout_ms=5000)
            await consumer.commit()

    with record(receive_spans=True, settle_spans=True) as spans:
        assert run(main()) == []
    received = spans.named(f"poll {topic}")
    assert [len(span.links) for span in received] == [1, 1, 1]
    assert [span.attributes.get("messaging.batch.message_count") for span in received] == [None, None, 1]
    assert len(spans.named("commit")) == 1


# ---------------------------------------------------------------------- classes and objects


def test_the_traced_class_is_a_subclass_and_the_same_each_time(cluster: str) -> None:
    for kind in (AIOKafkaProducer, AIOKafkaConsumer):
        traced = mqtrace.wrap(kind)
        assert mqtrace.wrap(kind) is traced is mqtrace.wrap(traced)
        assert issubclass(traced, kind)
        assert mqtrace.unwrap(traced) is kind
        assert traced.__name__ == kind.__name__


def test_a_subclass_with_a_send_of_its_own_is_traced_beneath_it(cluster: str, topic: str, spans: Spans) -> None:
    class Orders(AIOKafkaProducer):  # type: ignore[misc]  # of no type
        def __init__(self, servers: str) -> None:
            super().__init__(bootstrap_servers=servers, client_id="orders")

        async def send(self, number: int) -> Any:
            return await super().send(topic, b"%d" % number, partition=0)

    async def main() -> None:
        async with mqtrace.wrap(Orders)(cluster) as producer:
            assert isinstance(producer, Orders)
            await (await producer.send(7))

    assert run(main()) == []
    assert [(span.name, span.attributes["messaging.client.id"]) for span in spans] == [(f"send {topic}", "orders")]


def test_an_object_with_a_send_of_its_own_is_called_as_it_is(cluster: str, topic: str, spans: Spans) -> None:
    class Orders(AIOKafkaProducer):  # type: ignore[misc]  # of no type
        async def send(self, number: int) -> Any:
            return await super().send(topic, b"%d" % number, partition=0)

    async def main() -> None:
        async with mqtrace.wrap(Orders(bootstrap_servers=cluster)) as producer:
            await (await producer.send(7))

    assert run(main()) == []
    assert spans == []


def test_a_pattern_and_a_listener_are_the_clients(cluster: str, topic: str, spans: Spans) -> None:
    async def main() -> None:
        consumer = mqtrace.wrap(AIOKafkaConsumer(bootstrap_servers=cluster), group_id="patterned")
        with pytest.raises(TypeError, match="listener"):
            consumer.subscribe([topic], listener=object())
        with pytest.raises(ValueError, match="not a valid pattern"):
            consumer.subscribe(pattern="(")
        consumer.subscribe(pattern=f"{topic[:-2]}..")
        with mqtrace.process(made_by_hand(topic=topic)):
            pass
        await consumer.stop()
        with mqtrace.process(made_by_hand(topic=topic)):
            pass

    assert run(main()) == []
    assert spans[0].attributes["messaging.consumer.group.name"] == "patterned"
