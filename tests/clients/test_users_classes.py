"""A user's own classes of clients, and a user's own names on them: all of it is as it is without mqtrace."""

from __future__ import annotations

import functools
import gc
import importlib
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Consumer, DeserializingConsumer, Producer, SerializingProducer
from confluent_kafka.cimpl import Producer as RawProducer

import mqtrace
from mqtrace.clients.proxy import Proxy, Traced
from mqtrace.testing import Spans, record

kombu: Any = importlib.import_module("kombu")
simple: Any = importlib.import_module("kombu.simple")

SETTINGS = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "group.id": "g"}
FORMS = ("class", "object", "subclass")


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    with record("shop"):
        yield


def formed(form: str, kind: Any, body: dict[str, Any], *args: Any) -> Any:
    """A user's class over the traced one, or a traced class or object of a user's class, or neither."""
    if form == "subclass":
        return type("Mine", (mqtrace.wrap(kind),), body)(*args)
    mine: Any = type("Mine", (kind,), body)
    if form == "class":
        return mqtrace.wrap(mine)(*args)
    return mqtrace.wrap(mine(*args)) if form == "object" else mine(*args)


# ---------------------------------------------------------------------- names

#: Whatever a class of ours is or was called within, and what a user may well call something.
_NAMES = """
_callback _await _bind _broker _commit _confirms _created _deliveries _facts _headers _learn _method _note
_operation _poll _process _produce _publish _raw _receive _reported _send _settle _slots _template _twin
_waiting _watch _way callback came closed configure expire facts headers hold last method note opened
operation raw reads release reported revived state template topics traced waiting watch watches
"""
NAMES = _NAMES.split()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [Producer, SerializingProducer, Consumer, DeserializingConsumer])
def test_every_name_that_is_not_the_clients_is_the_users(kind: Any, form: str) -> None:
    mine = [name for name in NAMES if not hasattr(kind, name)]
    body = {name: functools.partialmethod(lambda self, name: name, name) for name in mine}
    client = formed(form, kind, body, SETTINGS)
    if issubclass(kind, Producer):
        client.produce("t", value=b"x", headers=[("a", b"1")])
        client.poll(0)
    else:
        client.subscribe(["t"])
        client.poll(0)
    assert [name for name in mine if getattr(client, name)() != name] == []


@pytest.mark.parametrize("kind", [Producer, Consumer])
def test_every_attribute_that_a_user_sets_is_the_users(kind: Any) -> None:
    client = type("Mine", (mqtrace.wrap(kind),), {})(SETTINGS)
    for name in NAMES:
        if not hasattr(kind, name):
            setattr(client, name, "mine")
    client.poll(0)
    assert {name: value for name, value in vars(client).items() if value != "mine"} == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("Producer", lambda client: client.publish("x", routing_key="q")),
        ("Consumer", lambda client: client.consume()),
    ],
)
def test_the_same_of_kombu(kind: str, form: str, call: Callable[[Any], Any]) -> None:
    with kombu.Connection("memory://") as connection:
        body = {name: "mine" for name in NAMES if not hasattr(getattr(kombu, kind), name)}
        arguments = (connection,) if kind == "Producer" else (connection.channel(), [kombu.Queue("q")])
        client = formed(form, getattr(kombu, kind), body, *arguments)
        call(client)
        assert [name for name in body if getattr(client, name) != "mine"] == []


@pytest.mark.parametrize("form", FORMS)
def test_the_same_of_pika(form: str) -> None:
    channel, spec, frame = (importlib.import_module(f"pika.{name}") for name in ("channel", "spec", "frame"))
    connection = SimpleNamespace(callbacks=importlib.import_module("pika.callback").CallbackManager())
    vars(connection).update(publisher_confirms=True, basic_nack=True, _send_method=lambda *_: None)
    arguments = (connection, 1, lambda _: None)
    raw = channel.Channel(*arguments)
    body = {name: "mine" for name in NAMES if not hasattr(raw, name)}
    client = formed(form, channel.Channel, body, *arguments)
    inner = mqtrace.unwrap(client) if form == "object" else client
    inner._set_state(channel.Channel.OPEN)
    client.confirm_delivery(lambda _: None)
    client.basic_publish("", "orders", b"x")
    handled: list[Any] = []
    tag = client.basic_consume("orders", lambda given, *_: handled.append(given))
    header = frame.Header(1, 1, spec.BasicProperties())
    inner._on_deliver(frame.Method(1, spec.Basic.Deliver(tag, 1, False, "", "orders")), header, b"x")
    assert [[name for name in body if getattr(one, name) != "mine"] for one in (client, inner, *handled)] == [[]] * 3
    assert {*vars(inner)} - {*vars(raw)} <= {"_mqtrace"}


@pytest.mark.parametrize("kind", [Producer, SerializingProducer, Consumer, DeserializingConsumer])
@pytest.mark.parametrize("options", [{}, {"receive_spans": True, "settle_spans": True}])
def test_an_object_that_was_wrapped_is_what_it_was(kind: Any, options: Any) -> None:
    class Mine(kind):  # type: ignore[misc]  # a class that is known at run time only
        pass

    client = Mine(SETTINGS)
    client.name = "till"
    before = dict(vars(client))
    with record("shop", **options):
        wrapped = mqtrace.wrap(client)
        wrapped.poll(0)
        assert vars(client) == before
        assert mqtrace.unwrap(wrapped) is client


def test_a_class_of_ours_has_no_names_but_the_clients() -> None:
    """What is written into such a class is in the namespace of the user's."""
    for module in ("confluent", "confluent.aio", "confluent.aio_consumer", "pika", "kombu", "aiokafka", "aio_pika"):
        importlib.import_module(f"mqtrace.clients.{module}")
    known = set(dir(object)) | set(dir(Traced))
    clients = [Producer, Consumer, SerializingProducer, kombu.Producer, kombu.Consumer, simple.SimpleQueue]
    clients += [importlib.import_module("pika.channel").Channel]
    clients += [importlib.import_module("pika.adapters.blocking_connection").BlockingChannel]
    aiokafka, aio, aio_pika = (
        importlib.import_module(name) for name in ("aiokafka", "confluent_kafka.aio", "aio_pika")
    )
    clients += [aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer, aio.AIOProducer, aio.AIOConsumer]
    clients += [
        importlib.import_module("aio_pika.queue").QueueIterator,
        aio_pika.Channel,
        aio_pika.Exchange,
        aio_pika.Queue,
    ]
    clients += [importlib.import_module("aiokafka.producer.message_accumulator").BatchBuilder]
    kafka = importlib.import_module("kafka")
    clients += [kafka.KafkaProducer, kafka.KafkaConsumer]
    theirs = {name for client in clients for name in dir(client)} | {
        "default_exchange"
    }  # of a channel, set when opened
    pending = [Traced]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind.__module__.startswith("mqtrace.") and not issubclass(kind, Proxy):
            assert {name for name in vars(kind) if name not in known | theirs} <= {"__getattr__", "__annotations__"}


# ---------------------------------------------------------------------- special methods, and what the class says


class Special:
    LIMIT = 3

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        self.left = getattr(self, "left", 2) - 1
        if self.left < 0:
            raise StopIteration
        return self.left

    def __call__(self, number: int, *, more: int = 1) -> int:
        return number + more

    def __getitem__(self, key: object) -> Any:
        return ("item", key)

    def __contains__(self, key: object) -> bool:
        return key == "a"

    def __aiter__(self) -> str:
        return "aiter"

    def __await__(self) -> Iterator[int]:
        yield 7

    def __lshift__(self, other: object) -> Any:
        return ("shift", other)

    def __rlshift__(self, other: object) -> Any:
        return ("shifted", other)

    def __lt__(self, other: object) -> Any:
        return ("less", other)

    def __reversed__(self) -> str:
        return "reversed"

    def __int__(self) -> int:
        return 5

    @classmethod
    def _of(cls) -> Any:
        return cls.LIMIT

    @staticmethod
    def _two() -> int:
        return 2

    def kind(self) -> str:
        return self.__class__.__name__

    def limit(self) -> Any:
        return self.__class__.LIMIT

    def shared(self) -> Any:
        return self._of(), self._two(), type(self)._of()


def attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def facts(mine: Any) -> dict[str, Any]:
    calls: dict[str, Callable[[], Any]] = {
        "iter": lambda: list(mine),
        "call": lambda: mine(1, more=2),
        "getitem": lambda: mine[5],
        "contains": lambda: ("a" in mine, "b" in mine),
        "aiter": lambda: type(mine).__aiter__(mine),
        "await": lambda: next(type(mine).__await__(mine)),
        "lshift": lambda: mine << 1,
        "rlshift": lambda: 1 << mine,
        "less": lambda: mine < 1,
        "greater": lambda: mine > 1,
        "reversed": lambda: reversed(mine),
        "int": lambda: int(mine),
        "bool": lambda: bool(mine),
        "private": lambda: (type(mine)._of(), type(mine)._two(), type(mine).LIMIT),
        "shared": mine.shared,
        "class name": mine.kind,
        "class constant": mine.limit,
        "callable": lambda: callable(mine),
    }
    return {name: attempt(call) for name, call in calls.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [Producer, Consumer])
def test_special_methods_private_ones_and_the_class_are_the_users(kind: Any, form: str) -> None:
    body = {name: value for name, value in vars(Special).items() if name not in ("__dict__", "__weakref__")}
    assert facts(formed(form, kind, body, SETTINGS)) == facts(formed("bare", kind, body, SETTINGS))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_class_has_not_an_object_has_not_either(form: str) -> None:
    client = formed(form, Consumer, {}, SETTINGS)
    calls: list[Callable[[], Any]] = [lambda: iter(client), lambda: client[0], lambda: client(), lambda: int(client)]
    calls.append(lambda: client < 1)
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert not callable(client)


@pytest.mark.parametrize("form", ["class", "subclass"])
def test_the_class_of_an_object_serves_as_a_class(form: str) -> None:
    client = formed(form, Consumer, {"made": 0}, SETTINGS)
    client.__class__.made += 1
    assert client.made == type(client).made == 1
    assert isinstance(client, client.__class__)
    assert isinstance(client, Consumer)

    @functools.singledispatch
    def said(client: object) -> str:
        return "object"

    said.register(client.__class__, lambda client: "mine")
    assert said(client) == "mine"


# ---------------------------------------------------------------------- constructors


@pytest.mark.parametrize("kind", [Producer, Consumer, SerializingProducer, DeserializingConsumer])
def test_a_constructor_refuses_what_the_clients_refuses(kind: Any) -> None:
    def outcomes(kind: Any) -> list[Any]:
        class Forgot(kind):  # type: ignore[misc]  # a class made at run time
            def __init__(self) -> None:
                pass

        calls = [kind, lambda: kind({}, 1), lambda: kind(7), lambda: kind({"nonsense": 1}), lambda: Forgot().poll(0)]
        if issubclass(kind, Producer):
            calls += [lambda: Forgot().produce("t", value=b"x"), lambda: Forgot().flush(0)]
        else:
            calls += [lambda: Forgot().subscribe(["t"]), lambda: Forgot().close()]
        return [attempt(call) if isinstance(attempt(call), str | None) else "made" for call in calls]

    assert outcomes(mqtrace.wrap(kind)) == outcomes(kind)


# ---------------------------------------------------------------------- the class in place


def test_a_class_may_be_put_in_the_place_of_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluent_kafka, "Producer", mqtrace.wrap(confluent_kafka.Producer))
    raw = RawProducer(SETTINGS)
    for client in (
        mqtrace.wrap(raw),
        mqtrace.wrap(RawProducer)(SETTINGS),
        mqtrace.wrap(confluent_kafka.Producer)(SETTINGS),
        mqtrace.wrap(SerializingProducer)(SETTINGS),
        mqtrace.wrap(SerializingProducer(SETTINGS)),
        raw,
    ):
        assert isinstance(client, confluent_kafka.Producer)
    assert issubclass(SerializingProducer, confluent_kafka.Producer)


def test_what_opentelemetry_has_put_in_place_does_not_matter(cluster: str) -> None:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.confluent_kafka")
    settings = {"bootstrap.servers": cluster, "log_level": 0}
    raw, serializing = RawProducer(settings), SerializingProducer(settings)
    instrumentor = instrumentation.ConfluentKafkaInstrumentor()
    instrumentor.instrument()
    try:
        makers: tuple[Callable[[], Any], ...] = (
            lambda: mqtrace.wrap(raw),
            lambda: mqtrace.wrap(RawProducer)(settings),
            lambda: mqtrace.wrap(serializing),
            lambda: mqtrace.wrap(SerializingProducer)(settings),
        )
        for make in makers:
            with record("shop") as spans:
                producer: Any = make()
                producer.produce("in-place", value=b"x")
                producer.flush(10)
            assert [span.name for span in spans] == ["send in-place"]
    finally:
        instrumentor.uninstrument()


# ---------------------------------------------------------------------- the end of a client, and serializers


@pytest.mark.parametrize("options", [{}, {"receive_spans": True}, {"receive_spans": True, "settle_spans": True}])
@pytest.mark.parametrize("form", FORMS)
def test_a_consumer_that_is_dropped_is_gone_at_once(cluster: str, form: str, options: Any) -> None:
    with record("shop", **options):
        gc.disable()
        try:
            consumer = formed(form, Consumer, {}, {**SETTINGS, "bootstrap.servers": cluster})
            consumer.subscribe(["t"], on_assign=lambda consumer, partitions: None)
            consumer.poll(0.05)
            client = consumer._mqtrace.raw if form == "object" else consumer
            alive = weakref.ref(client)
            del consumer, client
            assert alive() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("form", ["class", "object"])
@pytest.mark.parametrize("given", [None, [("a", b"1")], {"a": b"1"}, []])
def test_a_serializer_sees_the_headers_that_the_user_gave(cluster: str, form: str, given: Any, poll_one: Any) -> None:
    seen: list[Any] = []

    def serialize(value: Any, context: Any) -> Any:
        seen.append(context.headers)
        if isinstance(context.headers, list):
            context.headers.append(("added", b"2"))
        return value

    settings = {"bootstrap.servers": cluster, "log_level": 0, "value.serializer": serialize}
    topic = f"serialized-{form}-{type(given).__name__}-{bool(given)}"
    producer: Any = (
        mqtrace.wrap(SerializingProducer)(settings) if form == "class" else mqtrace.wrap(SerializingProducer(settings))
    )
    headers = given.copy() if given is not None else None
    producer.produce(topic, value=b"x", headers=headers)
    producer.flush(10)
    assert seen == [headers]
    assert seen[0] is headers
    sent = dict(poll_one(topic).headers())
    assert sent.pop("traceparent").startswith(b"00-")
    assert sent == dict(headers or {})


def test_a_serializer_that_fails_fails_as_it_does(cluster: str, spans: Spans) -> None:
    def serialize(value: Any, context: Any) -> Any:
        raise LookupError(value)

    producer: Any = mqtrace.wrap(SerializingProducer)(
        {"bootstrap.servers": cluster, "log_level": 0, "value.serializer": serialize}
    )
    with pytest.raises(confluent_kafka.error.ValueSerializationError):
        producer.produce("t", value=b"x")
    assert str(spans[0].attributes["error.type"]).endswith("ValueSerializationError")
