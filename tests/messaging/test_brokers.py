"""Where a broker is, read from its URL, whatever stands in it."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest
from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types
from hypothesis import assume, given
from hypothesis import strategies as st

from mqtrace.clients.celery.templates import Tasks
from mqtrace.clients.pika.state import endpoint_of
from mqtrace.messaging.brokers import NOWHERE, Server, server, server_of, system_of

# kombu says that it is typed, and most of it is not.
Connection: Any = importlib.import_module("kombu").Connection


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("amqp://guest:guest@localhost:5672//", "localhost", 5672),
        ("amqp://localhost", "localhost", None),
        ("localhost", "localhost", None),
        ("localhost:5673", "localhost", 5673),
        ("alice:secret@mq.example.com:5673", "mq.example.com", 5673),
        ("amqps://alice:secret@[::1]:5671/vhost", "::1", 5671),
        ("::1", "::1", None),
        ("10.0.0.7:5672", "10.0.0.7", 5672),
        ("redis://:secret@redis_1:6379/0", "redis_1", 6379),
        ("rediss://bücher.example:6380/0?ssl_cert_reqs=required", "bücher.example", 6380),
        ("redis+socket:///var/run/redis.sock?virtual_host=1", "/var/run/redis.sock", None),
        ("redis+socket://:secret@/var/run/redis.sock", "/var/run/redis.sock", None),
        ("unix:///var/run/redis.sock", "/var/run/redis.sock", None),
        ("/var/run/redis.sock", "/var/run/redis.sock", None),
        ("sqla+postgresql://alice:secret@dbhost/queue", "dbhost", None),
        ("sqla+mysql://alice:secret@dbhost:3307/queue", "dbhost", 3307),
        ("sqla+sqlite:///celery.db", None, None),
        ("mongodb://alice:secret@one:27017,two:27018/jobs?replicaSet=rs0", "one", 27017),
        ("confluentkafka://one:9092,two:9092", "one", 9092),
        ("sentinel://one:26379;sentinel://two:26379;sentinel://three:26379", "one", 26379),
        ("amqp://a:b@one;amqp://a:b@two", "one", None),
        ("sqs://AKIA:se%2Fcret@", None, None),
        ("sqs://", None, None),
        ("gcpubsub://projects/shop-42", None, None),
        ("azureservicebus://Root:abc=@shop", "shop", None),
        (
            "azurestoragequeues://DefaultAzureCredential@https://shop.queue.core.windows.net",
            "shop.queue.core.windows.net",
            None,
        ),
        ("amqp://host:http/", None, None),
        ("amqp://host:99999/", None, None),
        ("amqp://[::1", None, None),
        ("", None, None),
        (None, None, None),
        (17, None, None),
        (["amqp://alice:secret@one:5672//", "amqp://alice:secret@two:5672//"], "one", 5672),
        (["sentinel://one:26379;sentinel://two:26379"], "one", 26379),
        ([], None, None),
        ([None], None, None),
    ],
)
def test_a_url_says_where_its_broker_is(url: object, address: str | None, port: int | None) -> None:
    assert server(url) == (address, port)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://alice:12/34@host",
        "amqp://alice:12?34@host",
        "amqp://alice:12#34@host",
        "amqp://alice:12;34@host",
        "redis+socket://alice:12/34@/var/run/redis.sock",
        "sqs://AKIA:12/34@",
        ["amqp://alice:12", "34@host"],
    ],
)
def test_a_user_that_an_unquoted_password_makes_look_like_a_host_is_no_address(url: object) -> None:
    assert server(url) == NOWHERE


# Letters that no host, port or path below has, so that each of them in an answer is a secret that came out.
_SECRETS = st.text(st.sampled_from("XYZ78@:/;?#%[],.+=&-"), min_size=1, max_size=12).filter(
    lambda text: "://" not in text and set(text) & set("XYZ78")
)
_SCHEMES = st.sampled_from(
    ["amqp://", "redis://", "sqla+postgresql://", "redis+socket://", "sentinel://", "mongodb://", "sqs://", ""]
)


@given(
    scheme=_SCHEMES,
    user=_SECRETS | st.just(""),
    password=_SECRETS,
    encoded=st.booleans(),
    host=st.sampled_from(["host", "h.example", "[::1]", "10.0.0.1", "", "one:1,two:2"]),
    port=st.sampled_from(["", ":5672"]),
    rest=st.sampled_from(["", "/", "//", "/vhost", "/var/run/redis.sock", "?a=b", "/v?a=b#c"]),
    further=st.sampled_from(["", ";amqp://a:b@host", ";host"]),
    listed=st.booleans(),
)
def test_no_user_and_no_password_ever_comes_out(
    scheme: str,
    user: str,
    password: str,
    encoded: bool,
    host: str,
    port: str,
    rest: str,
    further: str,
    listed: bool,
) -> None:
    if encoded:
        user, password = quote(user, safe=""), quote(password, safe="")
    assume("://" not in f"{user}:{password}")  # then these are two URLs
    url = f"{scheme}{user}:{password}@{host}{port}{rest}{further}"
    said = server(url.split(";") if listed else url)
    assert not set(str(said.address)) & set("XYZ78"), said
    assert said.port in (None, 5672, 1, 2), said


@given(st.text() | st.lists(st.text() | st.none()) | st.none() | st.integers())
def test_nothing_that_stands_for_a_url_raises(url: object) -> None:
    assert isinstance(server(url), Server)


@pytest.mark.parametrize(
    ("url", "system", "address", "port"),
    [
        ("amqp://alice:secret@host//", "rabbitmq", "host", 5672),
        ("amqp://alice:12/34@host", "rabbitmq", None, None),
        ("amqp://alice:12;34@host", "rabbitmq", None, None),
        ("amqp://a:b@one;amqp://a:b@two:5673", "rabbitmq", "one", 5672),
        ("redis://:secret@host/0", "redis", "host", 6379),
        ("redis+socket:///var/run/redis.sock", "redis", "/var/run/redis.sock", None),
        ("sqla+postgresql://alice:secret@dbhost/queue", "sql", "dbhost", None),
        ("memory://", "memory", None, None),
        ("filesystem://", "filesystem", None, None),
    ],
)
def test_a_connection_of_kombu_says_where_its_broker_is(
    url: str, system: str, address: str | None, port: int | None
) -> None:
    connection = Connection(url)
    assert system_of(connection) == system
    assert server_of(connection) == (address, port)


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("amqp://alice:secret@mq:5673/vhost", "mq", 5673),
        ("amqp://alice:12/34@mq", None, None),
        ("redis+socket://:secret@/var/run/redis.sock", "/var/run/redis.sock", None),
        ("sqla+postgresql://alice:secret@dbhost/queue", "dbhost", None),
    ],
)
def test_the_tasks_of_a_celery_app_say_where_its_broker_is(url: str, address: str | None, port: int | None) -> None:
    app = Celery("shop", broker=url, set_as_current=False)
    template = Tasks(None, 2.0).unsent_template(app, "shop.pay")
    assert template.attributes.get("server.address") == address
    assert template.attributes.get("server.port") == port
    assert "alice" not in str(template.attributes)


@pytest.mark.parametrize(
    ("url", "facts"), [("amqp://a:b@mq:5673/v", ("mq", 5673)), ("amqp://alice:12/34@mq", (None, None))]
)
def test_a_channel_of_pika_says_where_its_broker_is(url: str, facts: Any) -> None:
    connection = SimpleNamespace(params=pika.URLParameters(url))
    channel = pika.channel.Channel.__new__(pika.channel.Channel)
    channel.connection = connection
    assert endpoint_of(channel)[2:] == facts


def test_after_a_failover_a_connection_is_at_the_alternate() -> None:
    connection = Connection("amqp://a:b@one;amqp://a:b@two:5673")
    connection.maybe_switch_next()
    assert server_of(connection) == ("two", 5673)


def test_a_transport_that_does_not_exist_is_said_as_kombu_says_it() -> None:
    with pytest.raises(KeyError):
        server_of(Connection("ampq://host"))
