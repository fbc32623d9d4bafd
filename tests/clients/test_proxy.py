"""What a wrapped client is to Python: copied, pickled, compared and subclassed as the client is."""

from __future__ import annotations

import abc
import copy
import importlib
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, SerializingProducer

import mqtrace

# kombu says that it is typed, and most of it is not.
kombu: Any = importlib.import_module("kombu")


@pytest.mark.parametrize("kind", [Producer, Consumer])
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_can_be_copied_and_pickled_as_little_as_the_client(kind: Any, how: Callable[[Any], Any]) -> None:
    """A copy would share the client, and end its spans when it is dropped."""
    client = mqtrace.wrap(kind({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0}))
    with pytest.raises(TypeError, match="cannot pickle 'cimpl"):
        how(client)


def test_it_can_be_referred_to_weakly_hashed_and_compared() -> None:
    raw = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    client = mqtrace.wrap(raw)
    assert weakref.ref(client)() is client
    assert client == raw == client
    assert {client: 1}[raw] == 1


@pytest.mark.parametrize("kind", [Producer, Consumer])
def test_an_object_of_a_traced_class_is_the_client_itself(kind: Any) -> None:
    """The client's own functions take it; there is no second client in it."""
    traced = mqtrace.wrap(kind)
    client = traced({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0})
    assert isinstance(client, kind)
    assert issubclass(traced, kind)
    kind.poll(client, 0)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("confluent_kafka", "Producer"),
        ("confluent_kafka", "Consumer"),
        ("confluent_kafka", "SerializingProducer"),
        ("confluent_kafka", "DeserializingConsumer"),
        ("confluent_kafka.aio", "AIOProducer"),
        ("confluent_kafka.aio", "AIOConsumer"),
        ("aiokafka", "AIOKafkaProducer"),
        ("aiokafka", "AIOKafkaConsumer"),
        ("kombu", "Producer"),
        ("kombu", "Consumer"),
        ("kombu.simple", "SimpleQueue"),
        ("kombu.simple", "SimpleBuffer"),
        ("pika.channel", "Channel"),
        ("pika.adapters.blocking_connection", "BlockingChannel"),
    ],
)
def test_a_traced_class_answers_what_the_clients_class_answers(module: str, name: str) -> None:
    """`confluent_kafka.Producer = mqtrace.wrap(confluent_kafka.Producer)` for other people's code."""
    kind: Any = getattr(importlib.import_module(module), name)
    traced = mqtrace.wrap(kind)

    class Mine(kind):  # type: ignore[misc]  # a class that is known at run time only
        pass

    class Ours(traced):  # type: ignore[misc,valid-type]  # as above
        pass

    raw, mine, ours = (one.__new__(one) for one in (kind, Mine, Ours))
    assert [isinstance(one, traced) for one in (raw, mine, ours, 7)] == [True, True, True, False]
    assert [issubclass(one, traced) for one in (kind, Mine, Ours, int)] == [True, True, True, False]
    assert [isinstance(one, Ours) for one in (raw, mine, ours, 7)] == [False, False, True, False]
    assert [issubclass(one, kind) for one in (traced, Ours)] == [True, True]


def test_a_users_class_may_derive_from_an_abstract_class_too() -> None:
    class Named(abc.ABC):
        @abc.abstractmethod
        def name(self) -> str: ...

    class Mine(mqtrace.wrap(Producer), Named):  # type: ignore[misc]  # a class made at run time
        def name(self) -> str:
            return "mine"

    assert Mine({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}).name() == "mine"


def test_a_wrapped_class_has_the_methods_constants_and_class_methods_of_the_client() -> None:
    class Mine(Producer):
        TOPIC = "orders"

        @classmethod
        def local(cls) -> Mine:
            return cls({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})

        @staticmethod
        def twice(number: int) -> int:
            return 2 * number

    Wrapped = mqtrace.wrap(Mine)
    assert [name for name in dir(Mine) if not hasattr(Wrapped, name)] == []
    assert (Wrapped.TOPIC, Wrapped.twice(2)) == ("orders", 4)
    assert type(Wrapped.local()) is Wrapped
    assert Wrapped.list_topics.__doc__ == Producer.list_topics.__doc__
    assert Wrapped.__name__ == "Mine"


@pytest.mark.parametrize("kind", [Producer, SerializingProducer])
def test_a_users_subclass_keeps_attributes_of_its_own(kind: Any) -> None:
    """What a SerializingProducer takes as an attribute hid the subclass's own properties and defaults."""

    class Mine(mqtrace.wrap(kind)):  # type: ignore[misc]  # a class made at run time
        sent = 0

        @property
        def name(self) -> str:
            return f"<{self._name}>"

        @name.setter
        def name(self, name: str) -> None:
            self._name = name

    mine = Mine({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    mine.name = "till"
    mine.sent += 1
    mine.sent += 1
    assert (mine.name, mine.sent) == ("<till>", 2)
    del mine.sent
    assert mine.sent == 0


def test_super_reaches_every_method_of_the_client() -> None:
    class Till(mqtrace.wrap(Producer)):  # type: ignore[misc]  # a class made at run time
        def poll(self, *arguments: Any) -> Any:
            return ("mine", super().poll(*arguments))

        def flush(self, *arguments: Any) -> Any:
            return ("mine", super().flush(*arguments))

        def purge(self, *arguments: Any) -> Any:
            return ("mine", super().purge(*arguments))

    class Cook(mqtrace.wrap(Consumer)):  # type: ignore[misc]  # as above
        def poll(self, *arguments: Any) -> Any:
            return ("mine", super().poll(*arguments))

        def consume(self, *arguments: Any) -> Any:
            return ("mine", super().consume(*arguments))

        def assignment(self) -> Any:
            return ("mine", super().assignment())

    till = Till({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    assert [called[0] for called in (till.poll(0), till.flush(0), till.purge())] == ["mine"] * 3
    cook = Cook({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0})
    assert (cook.poll(0), cook.consume(1, 0), cook.assignment()) == (("mine", None), ("mine", []), ("mine", []))
    cook.close()


def test_it_can_be_shown_also_where_the_constructor_of_the_client_failed() -> None:
    Wrapped: Any = mqtrace.wrap(Producer)
    assert repr(Wrapped.__new__(Wrapped)).startswith("<cimpl.Producer")
    raw = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    assert repr(mqtrace.wrap(raw)) == repr(raw)
