"""The options of ``wrap``, which say what an object does not show."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it ships no types
from confluent_kafka import Consumer, Producer
from confluent_kafka.aio import AIOProducer

import mqtrace
from mqtrace.testing import record


@pytest.mark.parametrize("client", [Producer, Consumer, AIOProducer, AIOKafkaProducer])
@pytest.mark.parametrize("value", [7, b"text", ["host", 7]])
@pytest.mark.parametrize("option", ["client_id", "group_id", "bootstrap_servers"])
def test_a_value_that_cannot_be_the_option_is_refused(client: Any, option: str, value: Any) -> None:
    with pytest.raises(mqtrace.ConfigurationError, match=rf"^{option}=.* is not .*: write [^\n]*$"):
        mqtrace.wrap(client, **{option: value})


@pytest.mark.parametrize(
    ("option", "value"), [("on_delivery", 7), ("on_delivery", "report"), ("delivery_report_only_error", "perhaps")]
)
@pytest.mark.parametrize("make", [Producer, lambda: Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})])
def test_a_callback_that_cannot_be_called_is_refused_at_once(make: Any, option: str, value: Any) -> None:
    client = make if make is Producer else make()
    with pytest.raises(mqtrace.ConfigurationError, match=rf"^{option}=.* is not .*: write [^\n]*$"):
        mqtrace.wrap(client, **{option: value})


def test_what_is_none_is_left_out() -> None:
    with record() as spans:
        producer = mqtrace.wrap(
            Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}),
            on_delivery=None,
            client_id=None,
            group_id=None,
            bootstrap_servers=["broker:9093", "other:9094"],
            delivery_report_only_error=None,
        )
        producer.produce("orders", b"x")
        producer.purge()
        producer.flush(5)
    (span,) = spans
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("broker", 9093)
    assert "messaging.client.id" not in span.attributes
