"""What an asynchronous client must do beyond :class:`ClientContract`: tasks side by side, cancelled, timed out.

    class TestMyQueue(AsyncClientContract):
        system = "my_queue"

        async def open_sender(self): ...
        async def open_receiver(self, destination): ...
        async def send_one(self, client, destination, headers): await client.send(destination, b"body", headers)
        async def receive_one(self, client, destination): return await client.get()
        def headers(self, message): return message.headers
        async def shut(self, client): await client.close()

Every test has a loop of its own, which may have nothing to complain of when the test is over: no exception that was
never retrieved, no coroutine that was never awaited, no task that was left.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

import mqtrace

from .client_contract import ClientContract
from .recording import record

__all__ = ["AsyncClientContract"]

T = TypeVar("T")


class AsyncClientContract(ClientContract):
    """Subclass it in a test module, set :attr:`system`, and override the hooks that are asynchronous here."""

    #: How many tasks send and handle side by side.
    tasks = 1000
    #: Of how many traces.
    traces = 100

    loop: asyncio.AbstractEventLoop

    # ------------------------------------------------------------------ hooks

    async def open_sender(self) -> Any:
        """A bare client that sends, connected."""
        raise NotImplementedError("an asynchronous client contract needs open_sender()")

    async def open_receiver(self, destination: str) -> Any:
        """A bare client that reads ``destination`` from its first message on, connected."""
        raise NotImplementedError("an asynchronous client contract needs open_receiver(destination)")

    async def send_one(self, client: Any, destination: str, headers: Any) -> None:
        """Send one message through a client, bare or wrapped, and wait until the broker has it."""
        raise NotImplementedError("an asynchronous client contract needs send_one(client, destination, headers)")

    async def receive_one(self, client: Any, destination: str) -> Any:
        """The next message, as a client (bare or wrapped) hands it to the application."""
        raise NotImplementedError("an asynchronous client contract needs receive_one(client, destination)")

    async def shut(self, client: Any) -> None:
        """Close a client that a test is done with."""
        await client.close()

    # ------------------------------------------------------------------ the synchronous hooks, by the loop of the test

    def setup_method(self, *_: object) -> None:
        """Make the loop of a test. Called by pytest."""
        self.loop = asyncio.new_event_loop()
        self.complaints: list[Mapping[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._warnings = warnings.catch_warnings(record=True)
        self._warned = self._warnings.__enter__()
        warnings.simplefilter("always", RuntimeWarning)

    def teardown_method(self, *_: object) -> None:
        """Close the loop of a test, which has nothing to complain of. Called by pytest."""
        try:
            gc.collect()  # what was never awaited or retrieved is said when it is dropped
            left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            self.run(asyncio.sleep(0))
            self.loop.close()
        finally:
            self._warnings.__exit__(None, None, None)
        assert self.complaints == []
        assert [str(one.message) for one in self._warned or () if one.category is RuntimeWarning] == []
        assert [task for task in left if "mqtrace" in repr(task)] == []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, with what is current here current in it."""
        return self.loop.run_until_complete(coroutine)

    def make_sender(self) -> Any:
        """See :meth:`open_sender`."""
        return self.run(self.open_sender())

    def make_receiver(self, destination: str) -> Any:
        """See :meth:`open_receiver`."""
        return self.run(self.open_receiver(destination))

    def send(self, client: Any, destination: str, headers: Mapping[str, str] | None) -> None:
        """See :meth:`send_one`."""
        native = None if headers is None else self.native_headers(headers)
        self.run(self.send_one(client, destination, native))

    def send_native(self, client: Any, destination: str, headers: Any) -> None:
        """See :meth:`send_one`."""
        self.run(self.send_one(client, destination, headers))

    def receive(self, client: Any, destination: str) -> Any:
        """See :meth:`receive_one`."""
        return self.run(self.receive_one(client, destination))

    def close(self, client: Any) -> None:
        """See :meth:`shut`."""
        self.run(self.shut(client))

    # ------------------------------------------------------------------ tasks

    def test_tasks_side_by_side_do_not_mix_their_traces(self) -> None:
        destination = self.new_destination()
        sent: set[tuple[str, str]] = set()
        handled: list[tuple[str, str]] = []

        async def send_in(client: Any, trace: Any) -> None:
            with mqtrace.use(trace):
                await asyncio.sleep(0)
                await self.send_one(client, destination, None)
                assert mqtrace.current_span().span_id == trace.span_id
            assert not mqtrace.current_span().trace_id.strip("0")

        @mqtrace.consumer
        async def handle(message: Any) -> None:
            before = mqtrace.current_span()
            await asyncio.sleep(0)
            assert mqtrace.current_span() is before
            handled.append((before.trace_id, str(before.parent_id)))

        async def all_of_them() -> None:
            sender, receiver = self.sender, self.receiver
            traces = [spans.tracer.start_span(f"trace {number}", parent=None) for number in range(self.traces)]
            await asyncio.gather(*(send_in(sender, traces[number % self.traces]) for number in range(self.tasks)))
            for trace in traces:
                trace.end()
            handling = [
                asyncio.ensure_future(handle(await self.receive_one(receiver, destination))) for _ in range(self.tasks)
            ]
            await asyncio.gather(*handling)

        with record() as spans:
            self.sender, self.receiver = self.wrapped_sender(), self.wrapped_receiver(destination)
            try:
                self.run(all_of_them())
            finally:
                self.close(self.sender)
                self.close(self.receiver)
        for span in spans.named(f"send {self.sent_to(destination)}"):
            sent.add((span.trace_id, span.span_id))
        assert len(sent) == self.tasks
        assert len({trace for trace, _ in sent}) == self.traces
        assert set(handled) == sent
        assert len(handled) == self.tasks

    def test_a_handler_that_is_cancelled_ends_its_span_with_that(self) -> None:
        destination = self.new_destination()
        self.send_bare(destination)

        @mqtrace.consumer
        async def handle(message: Any) -> None:
            await asyncio.sleep(60)

        async def cancel() -> None:
            task = asyncio.ensure_future(handle(message))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

        with record() as spans:
            client = self.wrapped_receiver(destination)
            try:
                message = self.receive(client, destination)
                self.run(cancel())
            finally:
                self.close(client)
        (span,) = spans
        assert (span.status, span.attributes["error.type"]) == ("error", "CancelledError")

    def test_a_handler_that_times_out_ends_its_span_with_that(self) -> None:
        destination = self.new_destination()
        self.send_bare(destination)
        timed_out: list[BaseException] = []

        async def wait(message: Any) -> None:
            try:
                async with asyncio.timeout(0.01), mqtrace.process(message):
                    await asyncio.sleep(60)
            except TimeoutError as error:
                timed_out.append(error)
            assert not mqtrace.current_span().is_recording()

        with record() as spans:
            client = self.wrapped_receiver(destination)
            try:
                self.run(wait(self.receive(client, destination)))
            finally:
                self.close(client)
        (span,) = spans
        assert len(timed_out) == 1
        assert (span.status, span.attributes["error.type"]) == ("error", "CancelledError")

    def test_async_blocks_and_an_async_loop_know_its_messages(self) -> None:
        destination = self.new_destination()
        for _ in range(2):
            self.send_bare(destination)
        inside: list[Any] = []

        async def use(messages: list[Any]) -> None:
            async def stream() -> AsyncIterator[Any]:
                for message in messages:
                    yield message

            async with mqtrace.process(messages[0]):
                inside.append(mqtrace.current_span())
            async with mqtrace.batch(messages) as span:
                inside.append(span)
            async with mqtrace.each(stream()) as loop:
                async for _ in loop:
                    inside.append(mqtrace.current_span())
            async for _ in mqtrace.each(stream()):
                inside.append(mqtrace.current_span())
            assert not mqtrace.current_span().is_recording()

        with record() as spans:
            client = self.wrapped_receiver(destination)
            try:
                messages = [self.receive(client, destination) for _ in range(2)]
                self.run(use(messages))
            finally:
                self.close(client)
        assert list(spans) == inside
        assert len(inside) == 6
