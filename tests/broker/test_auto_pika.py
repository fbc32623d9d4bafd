"""pika's connections under ``mqtrace run`` make traced channels, on a real RabbitMQ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKING = """
import os, pika
from pika.adapters.blocking_connection import BlockingChannel
connection = pika.BlockingConnection(pika.URLParameters(os.environ["URL"]))
channel = connection.channel()
assert isinstance(channel, BlockingChannel)
queue = channel.queue_declare("", exclusive=True).method.queue
channel.basic_publish("", queue, b"one")
seen = []
def callback(channel, method, properties, body):
    seen.append(properties.headers["traceparent"])
    channel.basic_ack(method.delivery_tag)
    channel.stop_consuming()
channel.basic_consume(queue, callback)
channel.start_consuming()
connection.close()
"""

ASYNCIO = """
import asyncio, os, pika
from pika.adapters.asyncio_connection import AsyncioConnection
async def main():
    done = asyncio.get_running_loop().create_future()
    kept = []
    def opened(connection):
        kept.append(connection.channel(on_open_callback=channel_opened))
    def channel_opened(channel):
        assert channel is kept[0]
        channel.queue_declare("", exclusive=True, callback=lambda frame: declared(channel, frame.method.queue))
    def declared(channel, queue):
        channel.basic_consume(queue, callback)
        channel.basic_publish("", queue, b"one")
    def callback(channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        done.set_result(properties.headers["traceparent"])
    connection = AsyncioConnection(pika.URLParameters(os.environ["URL"]), on_open_callback=opened)
    await asyncio.wait_for(done, 20)
    connection.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("program", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def test_a_program_that_knows_nothing_of_us_has_its_two_spans(rabbitmq_url: str, tmp_path: Path, program: str) -> None:
    spans = tmp_path / "spans.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "mqtrace.cli", "run", sys.executable, "-c", program],
        env={**os.environ, "URL": rabbitmq_url, "MQTRACE_EXPORTER": f"file://{spans}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = spans.read_text()
    assert text.count('"name":"send ') == 1
    assert text.count('"name":"process ') == 1
