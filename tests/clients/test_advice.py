"""`wrap` is given an object that it does not take: the error advises what to write."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

import mqtrace
from mqtrace.clients.advice import _BY_CLASS


def subclass(module: str, name: str) -> Any:
    found: Any = getattr(importlib.import_module(module), name)
    return type("Mine", (found,), {})


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("celery", "Celery", "mqtrace.instrument_celery(app)"),
        ("celery", "Task", "mqtrace.instrument_celery(app)"),
        ("kombu", "Connection", "kombu Producer, Consumer or SimpleQueue"),
        ("kombu.mixins", "ConsumerMixin", "get_consumers"),
        ("pika", "BlockingConnection", "mqtrace.wrap(connection.channel())"),
        ("pika", "SelectConnection", "mqtrace.wrap(connection.channel())"),
        ("confluent_kafka.aio", "AsyncSerializingProducer", "wrap the AIOProducer"),
        ("confluent_kafka.aio", "AsyncDeserializingConsumer", "wrap the object"),
    ],
)
def test_it_says_what_to_write(module: str, name: str, words: str) -> None:
    for client in (getattr(importlib.import_module(module), name), subclass(module, name)):
        with pytest.raises(TypeError) as raised:
            mqtrace.wrap(client)
        assert words in str(raised.value)


def test_objects_are_told_the_same() -> None:
    kombu: Any = importlib.import_module("kombu")
    celery: Any = importlib.import_module("celery")
    for client, words in ((celery.Celery("shop"), "instrument_celery"), (kombu.Connection("memory://"), "SimpleQueue")):
        with pytest.raises(TypeError, match=words):
            mqtrace.wrap(client)


def test_what_nobody_knows_is_told_what_there_is() -> None:
    with pytest.raises(TypeError, match="it takes confluent_kafka Producer"):
        mqtrace.wrap(object())


@pytest.mark.parametrize(("library", "name"), _BY_CLASS)
def test_every_class_that_it_names_exists(library: str, name: str) -> None:
    pytest.importorskip(library)
    elsewhere = {
        "kombu": "kombu.mixins",
        "confluent_kafka": "confluent_kafka.aio",
        "aio_pika": "aio_pika.abc",
        "pika": "pika.connection",
    }
    found = [getattr(importlib.import_module(one), name, None) for one in (library, elsewhere.get(library, library))]
    assert any(inspect.isclass(one) for one in found)
