"""Consumers and their groups on a broker: positions, commits, assignments, patterns, and members that come and go."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import mqtrace
from mqtrace.testing import Spans, record

GROUP = "messaging.consumer.group.name"
OFFSET = "messaging.kafka.offset"
PARTITION = "messaging.destination.partition.id"

Polled = Callable[..., list[Any]]


@pytest.fixture
def filled(kafka: str) -> Callable[..., None]:
    """``filled(topic, partition, ..., count=10)``: puts so many messages into each partition."""

    def fill(topic: str, *partitions: int, count: int = 10) -> None:
        producer = mqtrace.wrap(Producer)({"bootstrap.servers": kafka, "linger.ms": 0})
        for partition in partitions:
            for number in range(count):
                producer.produce(topic, str(number).encode(), partition=partition)
        assert producer.flush(20) == 0

    return fill


def _group_of(message: Any) -> Any:
    with mqtrace.process(message) as span:
        pass
    return span.attributes.get(GROUP)


# ---------------------------------------------------------------------- one consumer


def test_a_consumer_is_paused_resumed_and_sought_as_before(
    topic: str, group: str, filled: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    filled(topic, 0)
    consumer = consumer_of()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    first = polled(consumer, 3)
    consumer.pause([TopicPartition(topic, 0)])
    assert [message for message in consumer.consume(10, 0.5) if message.error() is None] == []
    consumer.resume([TopicPartition(topic, 0)])
    consumer.seek(TopicPartition(topic, 0, 1))
    again = polled(consumer, 9)
    del spans[:]
    for message in mqtrace.each([*first, *again]):
        assert message.offset() == mqtrace.current_span().attributes[OFFSET]
    assert [span.attributes[OFFSET] for span in spans] == [0, 1, 2, *range(1, 10)]
    assert {span.attributes[GROUP] for span in spans} == {group}
    assert consumer.position([TopicPartition(topic, 0)])[0].offset == 10
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 10)
    assert consumer.offsets_for_times([TopicPartition(topic, 0, 0)], timeout=20)[0].error is None


def test_partitions_are_assigned_one_after_another(
    kafka: str, make_topic: Any, group: str, filled: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    topics = [make_topic(kafka), make_topic(kafka)]
    for topic in topics:
        filled(topic, 0)
    consumer = consumer_of()
    for topic in topics:
        consumer.incremental_assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert {_group_of(message) for message in polled(consumer, 20)} == {group}
    consumer.incremental_unassign([TopicPartition(topics[0], 0)])
    assert [one.topic for one in consumer.assignment()] == [topics[1]]
    consumer.unassign()
    assert consumer.assignment() == []


@pytest.mark.parametrize("way", ["sync", "async", "message", "stored"])
def test_offsets_are_committed_as_before(
    topic: str, filled: Any, consumer_of: Any, polled: Polled, spans: Spans, way: str
) -> None:
    filled(topic, 0)
    committed: list[Any] = []
    stored = {"enable_auto_offset_store": False} if way == "stored" else {}
    consumer = consumer_of(enable_auto_commit=False, on_commit=lambda *said: committed.append(said), **stored)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    messages = polled(consumer, 5)
    if way == "message":
        consumer.commit(message=messages[-1], asynchronous=False)
    elif way == "async":
        consumer.pause(consumer.assignment())  # what is polled meanwhile would be committed too
        assert consumer.commit(asynchronous=True) is None
        deadline = time.monotonic() + 20
        while not committed and time.monotonic() < deadline:
            consumer.poll(0.1)
        assert committed[0][0] is None
    else:
        if way == "stored":
            consumer.store_offsets(messages[-1])
        assert consumer.commit(asynchronous=False)[0].offset == 5
    assert consumer.committed([TopicPartition(topic, 0)], timeout=20)[0].offset == 5


def test_a_commit_and_the_polls_before_it_have_spans_on_request(
    topic: str, group: str, filled: Any, consumer_of: Any, polled: Polled
) -> None:
    with record("shop", receive_spans=True, settle_spans=True) as spans:
        filled(topic, 0)
        consumer = consumer_of(enable_auto_commit=False)
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        sent = {span.span_id for span in spans}
        del spans[:]
        messages = polled(consumer, 4)
        while len(messages) < 10:
            messages += consumer.consume(10, 1.0)
        consumer.commit(asynchronous=False)
    *polls, commit = spans
    assert {link.context.span_id for span in polls for link in span.links} == sent
    assert [span.name for span in polls[:4]] == [f"poll {topic}"] * 4
    assert sum(int(str(span.attributes.get("messaging.batch.message_count", 0))) for span in polls) == 6
    assert (commit.name, commit.attributes[GROUP]) == ("commit", group)


# ---------------------------------------------------------------------- groups


@pytest.mark.parametrize("form", ["class", "instance"])
def test_a_group_that_subscribes_to_a_pattern_is_known(
    kafka: str, group: str, filled: Any, consumer_of: Any, polled: Polled, spans: Spans, form: str
) -> None:
    name = f"orders-{uuid.uuid4().hex[:8]}"
    topics = [f"{name}-eu", f"{name}-us"]
    for topic in topics:
        filled(topic, 0, count=2)
    kind = mqtrace.wrap(Consumer) if form == "class" else lambda settings: mqtrace.wrap(Consumer(settings))
    consumer = consumer_of(kind=kind)
    consumer.subscribe([f"^{name}-(eu|us)$"])
    messages = polled(consumer, 4)
    assert {message.topic() for message in messages} == set(topics)
    assert {_group_of(message) for message in messages} == {group}


def test_two_groups_of_one_process_are_told_apart(
    topic: str, group: str, filled: Any, consumer_of: Any, polled: Polled, spans: Spans
) -> None:
    filled(topic, 0, count=4)
    groups = [group, f"{group}-two"]
    consumers = [consumer_of(topic, group_id=name) for name in groups]
    said: list[tuple[str, Any]] = []
    for _ in range(4):
        for name, consumer in zip(groups, consumers, strict=True):
            said.append((name, _group_of(polled(consumer, 1)[0])))
    assert said == [(name, name) for _ in range(4) for name in groups]
    batch: list[Any] = []
    consumers[1].seek(TopicPartition(topic, 0, 0))
    while not batch:
        batch = consumers[1].consume(4, 1.0)
    with mqtrace.batch(batch) as span:
        pass
    assert span.attributes[GROUP] == groups[1]


class _Members:
    """Consumers of one group, polled in turn, and what their callbacks were told."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self.consumers: list[Any] = []
        self.told: list[tuple[str, int, list[int]]] = []
        self.messages: list[tuple[int, Any]] = []

    def join(self, topic: str, *, assigning: bool, **settings: Any) -> None:
        number = len(self.consumers)
        consumer = self._make(**settings)
        incremental = settings["partition_assignment_strategy"] == "cooperative-sticky"

        def note(what: str) -> Callable[[Any, list[Any]], None]:
            def callback(given: Any, partitions: list[Any]) -> None:
                assert given is consumer
                self.told.append((what, number, sorted(one.partition for one in partitions)))
                if not assigning:
                    return
                if what == "assign":
                    (given.incremental_assign if incremental else given.assign)(partitions)
                elif incremental:
                    given.incremental_unassign(partitions)
                else:
                    given.unassign()

            return callback

        consumer.subscribe([topic], on_assign=note("assign"), on_revoke=note("revoke"), on_lost=note("lost"))
        self.consumers.append(consumer)

    def poll_until(self, done: Callable[[], bool], seconds: float = 45.0) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            for number, consumer in enumerate(self.consumers):
                message = consumer.poll(0.05)
                if message is not None and message.error() is None:
                    with mqtrace.process(message) as span:
                        pass
                    self.messages.append((number, span))
        assert done(), self.told

    def assigned(self) -> list[list[int]]:
        return [sorted(one.partition for one in consumer.assignment()) for consumer in self.consumers]


@pytest.fixture
def members(consumer_of: Callable[..., Any]) -> _Members:
    return _Members(consumer_of)


@pytest.mark.real_only("the embedded broker lets every member of a group wait 3 s, and knows no cooperation")
@pytest.mark.parametrize(("form", "assigning"), [("class", True), ("instance", False)])
@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_member_that_joins_and_leaves_rebalances_the_group_as_before(
    kafka: str,
    group: str,
    make_topic: Any,
    filled: Any,
    members: _Members,
    spans: Spans,
    strategy: str,
    form: str,
    assigning: bool,
) -> None:
    topic = make_topic(kafka, 4)
    filled(topic, 0, 1, 2, 3)
    kind = mqtrace.wrap(Consumer) if form == "class" else lambda settings: mqtrace.wrap(Consumer(settings))
    settings: Any = {"kind": kind, "partition_assignment_strategy": strategy, "assigning": assigning}
    settings["heartbeat_interval_ms"] = 200  # how soon a member hears of another
    members.join(topic, **settings)
    members.poll_until(lambda: len(members.messages) == 40)
    assert members.told == [("assign", 0, [0, 1, 2, 3])]
    members.join(topic, **settings)
    members.poll_until(lambda: sorted(map(len, members.assigned())) == [2, 2])
    filled(topic, 0, 1, 2, 3)
    members.poll_until(lambda: len(members.messages) == 80)
    later = members.messages[40:]
    owned = dict(enumerate(members.assigned()))
    assert all(int(str(span.attributes[PARTITION])) in owned[number] for number, span in later)
    assert {number for number, _ in later} == {0, 1}
    members.consumers[1].close()
    members.consumers.pop()
    members.poll_until(lambda: members.assigned() == [[0, 1, 2, 3]])
    filled(topic, 0, 1, 2, 3, count=1)
    members.poll_until(lambda: len(members.messages) == 84)
    assert [span.attributes.get(GROUP) for _, span in members.messages] == [group] * 84
    sent = {span.span_id: span for span in spans if span.kind == "producer"}
    places = [
        (sent[str(span.parent_id)].attributes[PARTITION], span.attributes[PARTITION]) for _, span in members.messages
    ]
    assert all(one == other for one, other in places)


@pytest.mark.real_only("the embedded broker evicts nobody")
def test_a_member_that_was_thrown_out_is_told_that_its_partitions_are_lost(
    kafka: str, group: str, topic: str, filled: Any, members: _Members, spans: Spans
) -> None:
    filled(topic, 0, count=1)
    settings: Any = {"session_timeout_ms": 6000, "max_poll_interval_ms": 6000, "heartbeat_interval_ms": 500}
    settings |= {"partition_assignment_strategy": "range", "assigning": True}
    members.join(topic, **settings)
    members.poll_until(lambda: len(members.messages) == 1)
    time.sleep(7)  # longer than max.poll.interval.ms
    members.poll_until(lambda: ("lost", 0, [0]) in members.told)
    filled(topic, 0, count=1)
    members.poll_until(lambda: len(members.messages) >= 2)
    assert {span.attributes[GROUP] for _, span in members.messages} == {group}
