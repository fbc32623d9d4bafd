"""Under ``mqtrace run`` a poll loop without a handler has a process span from one poll to the next."""

from __future__ import annotations

from typing import Any

import pytest

CLUSTER = """
import confluent_kafka, json, time
from confluent_kafka import Consumer, Producer

holder = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
servers = ",".join(f"{b.host}:{b.port}" for b in holder.list_topics(timeout=10).brokers.values())
producer = Producer({"bootstrap.servers": servers, "log_level": 0})
for number in range(3):
    producer.produce("orders", str(number).encode(), partition=0)
producer.flush(10)
consumer = Consumer({"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest", "log_level": 0})
consumer.assign([confluent_kafka.TopicPartition("orders", 0, 0)])

def polled():
    while True:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            return message

def current():
    import mqtrace
    return mqtrace.current_span().span_id
"""


def processed(traced: Any) -> list[dict[str, Any]]:
    return [span for span in traced.spans() if span["kind"] == 5]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_a_message_is_current_until_the_next_poll_and_the_close(traced: Any) -> None:
    said = traced.program(
        CLUSTER
        + """
seen = []
for _ in range(3):
    polled()
    producer.produce("charged", b"x")
    seen.append(current())
consumer.close()
seen.append(current())
producer.flush(10)
print(*seen)
"""
    ).split()
    spans = processed(traced)
    assert [span["name"] for span in spans] == ["process orders"] * 3
    assert said == [*(span["spanId"] for span in spans), "0" * 16]
    sends = {span["spanId"]: span for span in traced.spans() if span["name"].startswith("send ")}
    assert [sends[span["parentSpanId"]]["name"] for span in spans] == ["send orders"] * 3
    charged = [span for span in sends.values() if span["name"] == "send charged"]
    assert [span["parentSpanId"] for span in charged] == said[:3]
    assert [attributes(span)["messaging.consumer.group.name"] for span in spans] == ["g"] * 3


def test_an_empty_poll_ends_the_span_too(traced: Any) -> None:
    rest = "for _ in range(3): polled()\nassert consumer.poll(0.1) is None\nprint(current())\n"
    said = traced.program(CLUSTER + rest)
    assert said.split() == ["0" * 16]
    assert len(processed(traced)) == 3


def test_a_decorated_handler_in_the_loop_takes_the_span_over(traced: Any) -> None:
    traced.program(
        CLUSTER
        + """
import mqtrace

@mqtrace.consumer(name="cook")
def handle(message):
    if message.value() == b"1":
        raise ValueError("burnt")
    return current()

for _ in range(3):
    message = polled()
    before = current()
    try:
        assert handle(message) == before
    except ValueError:
        pass
    assert current() == before
consumer.close()
assert current() == "0" * 16
"""
    )
    spans = processed(traced)
    assert [span["name"] for span in spans] == ["cook"] * 3
    assert [span.get("status", {}).get("code", 0) for span in spans] == [0, 2, 0]


def test_a_block_takes_the_span_over_too(traced: Any) -> None:
    traced.program(
        CLUSTER
        + """
import mqtrace
for _ in range(3):
    with mqtrace.process(polled()):
        pass
consumer.close()
"""
    )
    assert len(processed(traced)) == 3


def test_the_messages_of_one_consume_share_a_batch_span(traced: Any) -> None:
    said = traced.program(
        CLUSTER
        + """
messages = []
while len(messages) < 3:
    messages = consumer.consume(3, 5)
print(current())
consumer.close()
"""
    )
    (span,) = processed(traced)
    assert span["spanId"] == said.strip()
    assert len(span["links"]) == 3
    assert attributes(span)["messaging.batch.message_count"] == "3"


@pytest.mark.parametrize("way", ["for m in mqtrace.each(messages): pass", "for m in messages: handle(m)"])
def test_messages_of_a_batch_that_are_handled_one_by_one_have_one_span_each(traced: Any, way: str) -> None:
    traced.program(
        CLUSTER
        + f"""
import mqtrace
handle = mqtrace.consumer(lambda message: None)
messages = []
while len(messages) < 3:
    messages = consumer.consume(3, 5)
{way}
consumer.close()
"""
    )
    spans = processed(traced)
    assert [span["name"] for span in spans] == ["process orders"] * 3
    assert [len(span.get("links", ())) for span in spans][1:] == [1, 1]


def test_a_batch_block_takes_the_batch_span_over(traced: Any) -> None:
    traced.program(
        CLUSTER
        + """
import mqtrace
messages = []
while len(messages) < 3:
    messages = consumer.consume(3, 5)
with mqtrace.batch(messages, name="bake"):
    pass
consumer.close()
"""
    )
    assert [span["name"] for span in processed(traced)] == ["bake"]


def test_it_is_turned_off_by_a_variable_and_a_wrong_value_is_one_warning(traced: Any) -> None:
    text = CLUSTER + "for _ in range(3): polled()\nconsumer.close()\n"
    traced.program(text, MQTRACE_POLL="none")
    assert processed(traced) == []
    done = traced.run(str(traced.script(text)), MQTRACE_POLL="sometimes")
    assert done.stderr.count("MQTRACE_POLL") == 1
    assert len(processed(traced)) == 3


def test_without_mqtrace_run_a_wrapped_consumer_leaves_nothing_current(traced: Any) -> None:
    said = traced.program(
        "import mqtrace\n"
        + CLUSTER.replace("consumer = Consumer(", "consumer = mqtrace.wrap(Consumer)(")
        + "polled()\nprint(current())\nconsumer.close()\n",
        MQTRACE_CLIENTS="pika",
    )
    assert said.split() == ["0" * 16]
