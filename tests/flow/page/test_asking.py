"""Many who ask one source."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from mqtrace.flow import Scope, SourceError
from mqtrace.flow.fake import Fake
from mqtrace.flow.page.asking import Asking


def test_who_asks_the_same_at_once_is_told_one_answer() -> None:
    asked: list[str] = []
    released = threading.Event()

    class Slow(Fake):
        def flow(self, scope: Scope) -> Any:
            asked.append("flow")
            released.wait(5)
            return super().flow(scope)

    async def many() -> list[tuple[int, bytes]]:
        asking = Asking(Slow())
        waiting = [asyncio.ensure_future(asking.ask("flow", {"last": ["1h"]})) for _ in range(10)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()  # a browser that goes away
        released.set()
        told = await asyncio.gather(*waiting[1:])
        asking.close()
        return told

    told = asyncio.run(many())
    assert asked == ["flow"]
    assert len(set(told)) == 1
    assert told[0][0] == 200


def test_an_answer_is_told_again_for_a_second_only() -> None:
    now = [100.0]
    asked: list[float] = []

    class Counted(Fake):
        def flow(self, scope: Scope) -> Any:
            asked.append(now[0])
            return []

    async def some() -> None:
        asking = Asking(Counted(), clock=lambda: now[0])
        for moment in (100.0, 100.9, 101.1, 101.2):
            now[0] = moment
            await asking.ask("flow", {})
        await asking.ask("flow", {"last": ["1h"]})
        asking.close()

    asyncio.run(some())
    assert asked == [100.0, 101.1, 101.2]


def test_what_is_kept_to_be_told_again_is_bounded() -> None:
    async def many() -> int:
        asking = Asking(Fake(), clock=lambda: 100.0)
        for number in range(1_000):
            await asking.ask("flow", {"service": [str(number)]})
        recent = len(asking._recent)
        asking.close()
        return recent

    assert asyncio.run(many()) <= 256


def test_a_source_that_hangs_is_not_waited_for() -> None:
    released = threading.Event()

    class Hanging(Fake):
        def flow(self, scope: Scope) -> Any:
            released.wait(5)
            raise SourceError("too late")

    async def wait() -> tuple[int, bytes]:
        asking = Asking(Hanging(), longest_s=0.05)
        told = await asking.ask("flow", {})
        released.set()
        asking.close()
        return told

    status, content = asyncio.run(wait())
    assert status == 503
    assert b"within 0.05 s" in content
