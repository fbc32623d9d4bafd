"""An embedded cluster, for what needs a real client and no real broker, and a signal at a bad moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """librdkafka's mock cluster: its bootstrap servers."""
    holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = holder.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del holder


@pytest.fixture
def interrupt_end(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Have the next ``end`` of a span of a class raise KeyboardInterrupt: a signal arrives as it is entered.

    The interpreter runs the handlers of signals at the entry of a function written in Python, among other places.
    """

    def arm(spans: Any) -> None:
        method = spans.end

        def entered(self: Any, *arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(spans, "end", method)
            raise KeyboardInterrupt

        monkeypatch.setattr(spans, "end", entered)

    return arm
