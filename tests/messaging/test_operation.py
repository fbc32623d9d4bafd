"""Operations: the templates of destinations."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, StrEnum

import pytest

from mqtrace.messaging import NOTHING_KNOWN, Operation, amqp
from mqtrace.messaging.attributes import DESTINATION, ROUTING_KEY
from mqtrace.testing import record


class Topics(str, Enum):  # noqa: UP042  # what a StrEnum is not: its str() is not its value
    ORDERS = "orders"


class Keys(StrEnum):
    ORDERS = "orders"


@pytest.fixture
def operation() -> Iterator[Operation]:
    with record():
        yield Operation("send")


@pytest.mark.parametrize("destination", ["orders", Topics.ORDERS, Keys.ORDERS])
def test_a_destination_is_named_as_the_client_sends_it(operation: Operation, destination: str) -> None:
    """``str()`` of a member of a (str, Enum) is ``Topics.ORDERS``; its bytes on the wire are ``orders``."""
    template = operation.make(destination, "kafka", "send", destination)
    assert template.name == "send orders"
    for name in (template.attributes[DESTINATION], template.destination):
        assert (type(name), name) == (str, "orders")


@pytest.mark.parametrize("routing_key", ["orders", Topics.ORDERS, Keys.ORDERS])
@pytest.mark.parametrize("exchange", ["", "orders", Topics.ORDERS])
def test_an_exchange_and_a_routing_key_are_too(operation: Operation, exchange: str, routing_key: str) -> None:
    template = amqp.send_template(operation, exchange, routing_key, NOTHING_KNOWN)
    name = "orders:orders" if exchange else "orders"
    assert (template.name, template.attributes[DESTINATION]) == (f"send {name}", name)
    assert (type(template.attributes[ROUTING_KEY]), template.attributes[ROUTING_KEY]) == (str, "orders")
