"""A message whose header has a name that is not UTF-8, as a producer in another language may send it.

The client raises SystemError at the first call of `headers`, and returns a list with a null pointer from then on, which
crashes whoever reads it. So each of these is a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
import pytest

from mqtrace.clients.confluent.headers import UnreadableHeaders

PROGRAM = """
import ctypes, glob, os, sys, time
import confluent_kafka, mqtrace
from confluent_kafka import Consumer, DeserializingConsumer, Producer, TopicPartition

library = ctypes.CDLL(sys.argv[1])
NAMES = [bytes.fromhex(name) for name in sys.argv[2].split(",")]


def send(servers, topic):
    pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
    for name in ("conf_new", "new", "headers_new"):
        getattr(library, "rd_kafka_" + name).restype = pointer
    error = ctypes.create_string_buffer(512)
    conf = pointer(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", servers.encode(), error, ctypes.c_size_t(512))
    client = pointer(library.rd_kafka_new(0, conf, error, ctypes.c_size_t(512)))
    headers = pointer(library.rd_kafka_headers_new(ctypes.c_size_t(2)))
    for name in NAMES:
        value = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"
        library.rd_kafka_header_add(headers, name, size(len(name)), value, size(len(value)))
    topic_, value_, flags_, headers_, end_ = map(ctypes.c_int, (1, 4, 7, 10, 0))
    library.rd_kafka_producev(
        client, topic_, topic, value_, b"x", ctypes.c_size_t(1), flags_, ctypes.c_int(2), headers_, headers, end_
    )
    library.rd_kafka_flush(client, 5000)


mock = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1, "log_level": 0})
servers = ",".join(f"{one.host}:{one.port}" for one in mock.list_topics(timeout=10).brokers.values())
send(servers, b"odd")


def take(consumer):
    consumer.assign([TopicPartition("odd", partition, 0) for partition in range(4)])
    end = time.monotonic() + 10
    while time.monotonic() < end:
        message = consumer.poll(0.5)
        if message is not None:
            return message


def read(message):
    try:
        print("read", [name for name, _ in message.headers()])
    except SystemError as error:
        print("SystemError", "returned a result with an exception set" in str(error))


configuration = {"bootstrap.servers": servers, "group.id": "g", "log_level": 0}
"""

READERS = {
    "a handler": "mqtrace.consumer(read)(take(mqtrace.wrap(Consumer)(configuration)))",
    "a handler of an object": "mqtrace.consumer(read)(take(mqtrace.wrap(Consumer(configuration))))",
    "each": "for message in mqtrace.each([take(mqtrace.wrap(Consumer)(configuration))]): read(message)",
    "a batch": """
message = take(mqtrace.wrap(Consumer)(configuration))
with mqtrace.batch([message]): read(message)
""",
    "a batch of many": """
message = take(mqtrace.wrap(Consumer)(configuration))
good = confluent_kafka.Message(topic="odd", partition=0, offset=1, value=b"v", headers=[("a", b"1")])
with mqtrace.batch([good, message, good]): read(message)
""",
    "a receive span": """
mqtrace.configure("trial", exporter="none:", receive_spans=True)
read(take(mqtrace.wrap(Consumer)(configuration)))
""",
    "other formats": """
mqtrace.configure("trial", exporter="none:", propagators="b3,jaeger,xray,datadog,tracecontext,baggage")
mqtrace.consumer(read)(take(mqtrace.wrap(Consumer)(configuration)))
""",
    "an asynchronous consumer": """
import asyncio
from confluent_kafka.aio import AIOConsumer

async def main():
    async with mqtrace.wrap(AIOConsumer)(configuration) as consumer:
        await consumer.assign([TopicPartition("odd", partition, 0) for partition in range(4)])
        while (message := await consumer.poll(0.2)) is None:
            pass
        return message

mqtrace.consumer(read)(asyncio.run(main()))
""",
    "a relay": """
message = take(mqtrace.wrap(Consumer)(configuration))
producer = mqtrace.wrap(Producer)(configuration)
with mqtrace.process(message):
    try:
        producer.produce("second", message.value(), headers=message.headers())
    except SystemError as error:
        print("SystemError", "returned a result with an exception set" in str(error))
""",
}

RETRIES = """
for _ in range(3):
    with mqtrace.batch([message]), mqtrace.process(message):
        pass
    for _ in mqtrace.each([message]):
        read(message)
print("alive", mqtrace.stats()["contexts_malformed"] > 0)
"""


def run(program: str, *names: bytes) -> list[str]:
    found = [*(Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka*.so*")]
    if not found:
        pytest.skip("the client was built without a library of its own")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(found[0]), ",".join(name.hex() for name in names)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout.splitlines()


@pytest.mark.parametrize("names", [(b"\xff\xfe",), (b"traceparent", b"\xff\xfe"), (b"\xff\xfe", b"traceparent")])
@pytest.mark.parametrize("reader", READERS)
def test_the_application_meets_the_clients_error_and_nobody_crashes(reader: str, names: tuple[bytes, ...]) -> None:
    configured = 'mqtrace.configure("trial", exporter="none:")\n' if "configure" not in READERS[reader] else ""
    again = RETRIES if "message = " in READERS[reader] else ""
    said = run(f"{configured}{READERS[reader]}\n{again}", *names)
    assert said[0] == "SystemError True"
    assert set(said) <= {"SystemError True", "alive True"}


@pytest.mark.parametrize("names", [(b"\xff\xfe",), (b"a", b"\xff\xfe")])
def test_an_application_that_met_the_error_before_may_still_handle_the_message(names: tuple[bytes, ...]) -> None:
    program = """
mqtrace.configure("trial", exporter="none:")
message = take(Consumer(configuration))
read(message)
with mqtrace.process(message):
    read(message)
"""
    assert run(program + RETRIES, *names)[-1] == "alive True"


def test_a_deserializer_meets_it_where_it_would() -> None:
    program = """
mqtrace.configure("trial", exporter="none:", receive_spans=True)
deserializing = {**configuration, "value.deserializer": lambda value, context: context.headers}
try:
    take(mqtrace.wrap(DeserializingConsumer)(deserializing))
except SystemError:
    print("SystemError")
"""
    assert run(program, b"\xff\xfe") == ["SystemError"]


def test_headers_that_cannot_be_read_refuse_whatever_is_done_with_them() -> None:
    headers = UnreadableHeaders(SystemError())
    uses: list[Callable[[], object]] = [
        lambda: list(headers),
        lambda: len(headers),
        lambda: bool(headers),
        lambda: headers[0],
        lambda: ("a", b"1") in headers,
        lambda: headers + [],  # noqa: RUF005  # that is what is tried
        lambda: [] + headers,  # noqa: RUF005  # as above
        lambda: headers == [],
        lambda: dict(headers),
        lambda: headers.append(("a", b"1")),
    ]
    for use in uses:
        with pytest.raises(SystemError, match="returned a result with an exception set"):
            use()
    assert "UTF-8" in repr(headers)


def test_it_holds_where_the_interpreter_has_specialized_the_calls() -> None:
    program = """
mqtrace.configure("trial", exporter="none:")
good = confluent_kafka.Message(topic="odd", partition=0, offset=1, value=b"v", headers=[("a", b"1"), ("b", b"2")])
handle = mqtrace.consumer(lambda message: None)
for _ in range(5000):
    handle(good)
    with mqtrace.batch([good, good]):
        pass
message = take(Consumer(configuration))
handle(message)
read(message)
"""
    for names in ((b"\xff\xfe",), (b"a", b"\xff\xfe")):
        assert run(program + RETRIES, *names)[-1] == "alive True"
