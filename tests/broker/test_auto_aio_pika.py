"""aio-pika's connections under ``mqtrace run`` make traced channels, on a real RabbitMQ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, os, sys, aio_pika
async def main():
    connection = await getattr(aio_pika, sys.argv[1])(os.environ["URL"])
    async with connection, connection.channel() as channel:
        assert isinstance(channel, connection.CHANNEL_CLASS)
        queue = await channel.declare_queue("", exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"one"), queue.name)
        done = asyncio.get_running_loop().create_future()
        async def callback(message):
            async with message.process():
                done.set_result(message.headers["traceparent"])
        await queue.consume(callback)
        await asyncio.wait_for(done, 20)
        await asyncio.sleep(0.1)
asyncio.run(main())
"""


@pytest.mark.parametrize("connect", ["connect", "connect_robust"])
def test_a_program_that_knows_nothing_of_us_has_its_two_spans(rabbitmq_url: str, tmp_path: Path, connect: str) -> None:
    spans = tmp_path / "spans.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "mqtrace.cli", "run", sys.executable, "-c", PROGRAM, connect],
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
