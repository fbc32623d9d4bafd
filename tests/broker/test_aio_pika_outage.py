"""A robust connection's broker is stopped in the middle, killed, and comes back: no message is without its span."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest

import mqtrace
from mqtrace.testing import Spans, record

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = 20_000


class OwnRabbit:
    """A real RabbitMQ that a test may kill: no other test and no person uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "MQTRACE_BROKERS_DIR": str(folder)}
        self.url = self.start(MQTRACE_RABBITMQ_PORT="0")

    def _compose(self, program: str, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "compose" / program), *arguments],
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no RabbitMQ of its own: {done.stderr.strip()[-200:]}")
        return done.stdout

    def start(self, **environment: str) -> str:
        """Start it, again on the same port and data; its URL."""
        said = self._compose("up", "--no-install", "rabbitmq", **environment)
        (line,) = [one for one in said.splitlines() if "RABBITMQ_URL" in one]
        return line.partition("=")[2].strip("'\"")

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        for pid, _ in json.loads((self._folder / "rabbitmq" / "state.json").read_text())["processes"]:
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Stop it, if it lives, and remove its data."""
        self._compose("down", "--erase")


@pytest.fixture
def own_rabbit(tmp_path: Path) -> Iterator[OwnRabbit]:
    broker = OwnRabbit(tmp_path / "brokers")
    yield broker
    broker.end()


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record() as found:
        yield found


async def fill(connection: Any, name: str, messages: int) -> None:
    channel = await connection.channel()
    await channel.declare_queue(name, durable=True)
    kept: Any = {"delivery_mode": aio_pika.DeliveryMode.PERSISTENT}
    for start in range(0, messages, 500):
        await asyncio.gather(
            *[
                channel.default_exchange.publish(aio_pika.Message(b"%d" % number, **kept), name)
                for number in range(start, start + 500)
            ]
        )


class Work:
    """Handles messages in callbacks, and counts each that was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.numbers: set[bytes] = set()

    async def handle(self, message: Any) -> None:
        async with message.process(ignore_processed=True):
            self.begun.append((mqtrace.current_span().trace_id, mqtrace.current_span().span_id))
            await asyncio.sleep(0)
            self.numbers.add(message.body)


@pytest.mark.slow
def test_a_graceful_stop_in_the_middle(rabbitmq_url: str, spans: Spans) -> None:
    name = f"aio-stop-{os.getpid()}"

    async def part(work: Work, enough: int) -> None:
        connection = await aio_pika.connect_robust(rabbitmq_url)
        async with connection:
            channel = mqtrace.wrap(await connection.channel())
            await channel.set_qos(prefetch_count=200)
            queue = await channel.declare_queue(name, durable=True)
            tag = await queue.consume(work.handle)
            while len(work.numbers) < enough:
                await asyncio.sleep(0.01)
            await queue.cancel(tag)
            await asyncio.sleep(0.2)

    async def main() -> None:
        async with await aio_pika.connect(rabbitmq_url) as connection:
            await fill(connection, name, MESSAGES)
            try:
                await part(work, MESSAGES // 2)
                await part(work, MESSAGES)
            finally:
                await (await connection.channel()).queue_delete(name)

    work = Work()
    asyncio.run(main())
    _everybody_has_a_span(spans, work)
    assert Counter(span.status for span in spans)["unset"] >= MESSAGES


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back(own_rabbit: OwnRabbit, spans: Spans) -> None:
    async def main() -> None:
        connection = await aio_pika.connect_robust(own_rabbit.url, reconnect_interval=0.5)
        async with connection:
            await fill(connection, "orders", MESSAGES)
            channel = mqtrace.wrap(await connection.channel())
            await channel.set_qos(prefetch_count=200)
            queue = await channel.declare_queue("orders", durable=True)
            await queue.consume(work.handle)
            while len(work.numbers) < MESSAGES // 4:
                await asyncio.sleep(0.01)
            own_rabbit.kill()
            await asyncio.sleep(1)
            await asyncio.get_running_loop().run_in_executor(None, own_rabbit.start)
            while len(work.numbers) < MESSAGES:
                await asyncio.sleep(0.05)
            with spans.tracer.start_span("after"):
                await channel.default_exchange.publish(aio_pika.Message(b"after"), "orders")
            while b"after" not in work.numbers:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)

    work = Work()
    asyncio.run(asyncio.wait_for(main(), 200))
    processed = _everybody_has_a_span(spans, work)
    (sent,) = [span for span in spans if span.kind == "producer"]
    assert processed[-1].parent_id == sent.span_id


def _everybody_has_a_span(spans: Spans, work: Work) -> list[Any]:
    processed = [span for span in spans if span.kind == "consumer"]
    assert len(work.numbers) >= MESSAGES
    assert Counter((span.trace_id, span.span_id) for span in processed) == Counter(work.begun)
    stats = spans.tracer.stats()
    assert stats["spans_ended"] == len(spans)
    assert not any(stats["spans_dropped"].values())
    return processed
