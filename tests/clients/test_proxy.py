"""What a wrapped client is to Python: copied, pickled, compared and subclassed as the client is."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, SerializingProducer

import mqtrace


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
def test_the_clients_own_functions_refuse_it_and_do_not_find_a_second_client_in_it(kind: Any) -> None:
    """Were the traced class a subclass, they would find one that was never opened."""
    client = mqtrace.wrap(kind)({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0})
    assert isinstance(client, kind)
    assert not issubclass(mqtrace.wrap(kind), kind)
    with pytest.raises(TypeError, match="doesn't apply to"):
        kind.poll(client, 0)


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
    assert repr(Wrapped.__new__(Wrapped)).startswith("<mqtrace.")
    raw = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    assert repr(mqtrace.wrap(raw)) == repr(raw)
