"""Which consumer a message is said to be from once its consumer is closed."""

from __future__ import annotations

import gc
import uuid

import pytest

from mqtrace.messaging import NOTHING_KNOWN, Endpoint, consumers


class Reader:
    """A consumer that has nothing in hand."""

    def __init__(self, endpoint: Endpoint, *topics: str) -> None:
        self.endpoint = endpoint
        self.topics: set[str] = set()
        consumers.add(self, topics)

    def came(self, message: object) -> bool:
        return False

    def note(self) -> None: ...


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid.uuid4().hex[:8]}"


KITCHEN = Endpoint("cook", "kitchen", "broker", 9092)
BAR = Endpoint("waiter", "bar", "broker", 9092)


@pytest.mark.parametrize("subscribed", ["{}", "^{}$"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "collected"])
def test_what_is_handled_after_the_close_is_still_the_groups(topic: str, subscribed: str, closed: bool) -> None:
    reader = Reader(KITCHEN, subscribed.format(topic))
    if closed:
        consumers.drop(reader)
    del reader
    gc.collect()
    assert consumers.endpoint_of(object(), topic) == KITCHEN
    assert consumers.endpoint_of(object(), f"{topic}-mail") == NOTHING_KNOWN


def test_of_several_that_are_closed_what_they_have_in_common_is_known(topic: str) -> None:
    for endpoint in (KITCHEN, BAR):
        consumers.drop(Reader(endpoint, topic))
    assert consumers.endpoint_of(object(), topic) == Endpoint(None, None, "broker", 9092)
    consumers.drop(Reader(KITCHEN, topic))
    assert consumers.endpoint_of(object(), topic) == Endpoint(None, None, "broker", 9092)


def test_one_that_is_open_is_believed_before_those_that_are_closed(topic: str) -> None:
    consumers.drop(Reader(KITCHEN, topic))
    reader = Reader(BAR, topic)
    assert consumers.endpoint_of(object(), topic) == BAR
    consumers.drop(reader)


def test_what_is_kept_of_those_that_are_closed_is_bounded() -> None:
    for number in range(1000):
        consumers.drop(Reader(KITCHEN, f"reply-{number}-{uuid.uuid4().hex}"))
    assert len(consumers._earlier) <= 256
