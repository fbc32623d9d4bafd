"""The programs of a page, as files, and what they need to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import confluent_kafka
import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def bootstrap() -> Iterator[str]:
    """An embedded Kafka of this test's own."""
    holder = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(holder.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del holder


@pytest.fixture
def programs(tmp_path: Path) -> Callable[[Path], list[str]]:
    """``programs(page)``: the names of its programs, which stand in ``tmp_path`` as they stand on the page.

    A program is a block of Python whose first line is a comment with the name of a file.
    """

    def write(page: Path) -> list[str]:
        names = []
        for text, name in re.findall(r"```python\n(# (\w+\.py)\n.*?)```", page.read_text(), re.S):
            (tmp_path / name).write_text(text)
            names.append(name)
        return names

    return write
