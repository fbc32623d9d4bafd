"""aio-pika: a publish that times out or is cancelled while the broker, a real RabbitMQ, is slow to answer."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from yarl import URL

import mqtrace
from mqtrace.testing import Spans, record

#: Seconds that a publish is waited for.
PATIENCE = 0.1

Publish = Callable[..., Awaitable[Any]]


class Held:
    """Stands before the broker, and keeps its answers back while ``answers`` is not set."""

    def __init__(self, url: str) -> None:
        self._broker = URL(url)
        self._connections: list[asyncio.Task[None]] = []
        self.answers = asyncio.Event()
        self.answers.set()

    @asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        """Where to connect to."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            yield str(self._broker.with_host("127.0.0.1").with_port(port))
            await asyncio.gather(*self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.append(task)
        answers, asks = await asyncio.open_connection(self._broker.host, self._broker.port)
        always = asyncio.Event()
        always.set()
        await asyncio.gather(self._copy(reader, asks, always), self._copy(answers, writer, self.answers))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        while data := await source.read(65536):
            await gate.wait()
            sink.write(data)
        sink.close()


async def by_its_argument(publish: Publish) -> None:
    await publish(timeout=PATIENCE)


async def by_wait_for(publish: Publish) -> None:
    await asyncio.wait_for(publish(), PATIENCE)


async def by_a_block(publish: Publish) -> None:
    async with asyncio.timeout(PATIENCE):
        await publish()


async def by_cancelling(publish: Publish) -> None:
    task = asyncio.ensure_future(publish())
    await asyncio.sleep(PATIENCE)
    task.cancel()
    await task


@pytest.fixture
def spans() -> Iterator[Spans]:
    with record() as found:
        yield found


@pytest.mark.parametrize("connect", [aio_pika.connect, aio_pika.connect_robust], ids=["plain", "robust"])
@pytest.mark.parametrize(
    ("give_up", "raised", "error_type"),
    [
        (by_its_argument, TimeoutError, "TimeoutError"),
        (by_wait_for, TimeoutError, "CancelledError"),  # that is how the two have it stop
        (by_a_block, TimeoutError, "CancelledError"),
        (by_cancelling, asyncio.CancelledError, "CancelledError"),
    ],
)
def test_a_publish_that_is_given_up_ends_its_span_with_that(
    rabbitmq_url: str,
    spans: Spans,
    connect: Any,
    give_up: Callable[[Publish], Awaitable[None]],
    raised: type[BaseException],
    error_type: str,
) -> None:
    complaints: list[str] = []

    async def main() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        held = Held(rabbitmq_url)
        async with held.url() as url, await connect(url) as connection:
            channel = mqtrace.wrap(await connection.channel())
            queue = await channel.declare_queue(f"aio-{uuid.uuid4().hex[:12]}", exclusive=True)

            def publish(**options: Any) -> Awaitable[Any]:
                sent: Awaitable[Any] = channel.default_exchange.publish(aio_pika.Message(b""), queue.name, **options)
                return sent

            with spans.tracer.start_span("request") as request:
                held.answers.clear()
                with pytest.raises(raised):
                    await give_up(publish)
                assert [span.name for span in spans] == [f"send {queue.name}"]
                assert mqtrace.current_span() is request
                held.answers.set()  # that to the one that was given up comes now
                await publish()
            return int((await queue.declare()).message_count)

    messages = asyncio.run(asyncio.wait_for(main(), 30))
    gc.collect()
    assert messages == 2  # nobody could know that the broker had it
    assert complaints == []
    given_up, sent, request = spans
    assert (given_up.status, given_up.attributes["error.type"]) == ("error", error_type)
    assert given_up.end_time is not None
    assert given_up.end_time - given_up.start_time >= 0.9 * PATIENCE * 1e9
    assert (sent.status, sent.name) == ("unset", given_up.name)
    assert {given_up.parent_id, sent.parent_id} == {request.span_id}
