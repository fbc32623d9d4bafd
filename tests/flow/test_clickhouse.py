"""The Collector's table in ClickHouse: the same questions, the same rows as from our own store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("chdb", reason="chdb, a ClickHouse of 534 MB, is not installed: pip install chdb")
pytest.importorskip("clickhouse_connect", reason="the extra clickhouse is not installed")
pytest.importorskip("starlette", reason="the extra ui is not installed")

from mqtrace.cli import main
from mqtrace.flow import Scope, SourceError
from mqtrace.flow.clickhouse import ClickHouseSource, server
from mqtrace.flow.clickhouse.server import parse
from mqtrace.flow.engine_source import EngineSource
from mqtrace.flow.remote import RemoteSource
from mqtrace.otlp.records import SpanRecord

from .clickhouse_stub import MAP, ClickHouse
from .page.served import served
from .shop import Shop
from .spans import NOW, OLD, S, batch, send, take

MakeSource = Callable[[Iterable[SpanRecord]], EngineSource]
WHOLE = Scope(to_ns=NOW)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """chdb answers in seconds on a machine with other work: what is tested here are rows."""
    monkeypatch.setattr(server, "_MOST_SECONDS", 300)


@cache
def spans() -> list[SpanRecord]:
    """A shop, and what only some libraries write."""
    found = list(Shop(NOW, lose=50).spans(3_000))
    older = {
        "messaging.operation": "process",
        "messaging.destination": "legacy",
        "messaging.kafka.partition": 3,
        "messaging.kafka.message.offset": 5,
    }
    sends = [send("legacy", OLD + n * S, n, part="3", state="ot=th:8") for n in range(12)]
    found += sends
    for number, one in enumerate(sends):
        taken = take(one, group=None, to=None, part=None, pos=None, system="kafka", service="old", state="ot=th:c")
        attributes = {**taken.attributes, **older, "messaging.kafka.message.offset": number}
        attributes.pop("messaging.operation.type")
        found.append(
            SpanRecord(
                taken.trace_id, taken.span_id, taken.parent_id, taken.name, "consumer", taken.start, taken.end,
                attributes, (), taken.links, "unset", None, taken.trace_state, "old",
            )
        )  # fmt: skip
    elsewhere = [send("elsewhere", OLD + n * S, n) for n in range(5)]
    found += [*elsewhere, batch(elsewhere), take(elsewhere[0], retry=1, failed=True, error="ValueError")]
    return found


@pytest.fixture(scope="module", params=["map", "json"])
def clickhouse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    made = ClickHouse(tmp_path_factory.mktemp("clickhouse"), MAP if request.param == "map" else "JSON")
    found = spans()
    made.insert([*found, *found[:500]])  # at least once
    yield made
    made.close()


def near(rows: Any) -> Any:
    """Floats that are not the same to the last digit."""
    if isinstance(rows, dict):
        return {key: near(value) for key, value in rows.items()}
    if isinstance(rows, list):
        return [near(item) for item in rows]
    return float(f"{rows:.9g}") if isinstance(rows, float) else rows


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_question_has_the_same_rows_as_our_own_store(clickhouse: ClickHouse, source_of: MakeSource) -> None:
    ours, theirs = source_of(spans()), ClickHouseSource(clickhouse.url)
    for scope in (WHOLE, Scope(NOW - 3600 * S, NOW), Scope(NOW - 3600 * S, NOW, ("mail*",), ("mail*",))):
        assert near(theirs.map(scope)) == near(ours.map(scope))
        assert near(theirs.flow(scope)) == near(ours.flow(scope))
        assert near(theirs.missing(scope)) == near(ours.missing(scope))
        assert near(theirs.traces(scope, limit=7)) == near(ours.traces(scope, limit=7))
        assert near(theirs.traces(scope, order="slowest", errors=True)) == near(
            ours.traces(scope, order="slowest", errors=True)
        )
        assert near(theirs.series(scope, 10)) == near(ours.series(scope, 10))
        assert near(theirs.errors(scope)) == near(ours.errors(scope))
        assert near(theirs.failures(scope)) == near(ours.failures(scope))
    assert ours.missing(WHOLE)
    for attribute in (("order.id", "o-77"), ("messaging.kafka.offset", "7")):
        found = theirs.traces(WHOLE, attribute=attribute)
        assert found
        assert near(found) == near(ours.traces(WHOLE, attribute=attribute))
    theirs.close()


def test_a_trace_is_told_with_the_batches_that_took_its_messages(clickhouse: ClickHouse, source_of: MakeSource) -> None:
    ours, theirs = source_of(spans()), ClickHouseSource(clickhouse.url)
    (row,) = theirs.traces(WHOLE, attribute=("order.id", "o-77"))
    told, expected = theirs.trace(row["trace_id"]), ours.trace(row["trace_id"])
    assert told is not None
    assert expected is not None
    assert any(span["guest"] for span in told["spans"])
    assert [span["span_id"] for span in told["spans"]] == [span["span_id"] for span in expected["spans"]]
    assert json.loads(json.dumps(told["spans"][0])) == told["spans"][0]
    assert theirs.trace("f" * 32) is None
    theirs.close()


def test_a_server_that_refuses_is_one_sentence_without_the_password(
    clickhouse: ClickHouse, capsys: pytest.CaptureFixture[str]
) -> None:
    for status, body, said in (
        (403, "Code: 516. DB::Exception: reader: Authentication failed p@ss. (AUTHENTICATION_FAILED)", "does not know"),
        (403, "Code: 497. DB::Exception: Not enough privileges. (ACCESS_DENIED)", "grant SELECT"),
        (404, "Code: 81. DB::Exception: Database x does not exist. (UNKNOWN_DATABASE)", "has no table"),
        (500, "Code: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED)", "took longer than"),
        (500, "what p@ss", "answers with an error"),
    ):
        clickhouse.refuse = status, body
        assert main(["flow", clickhouse.url]) == 2
        clickhouse.refuse = None
        err = capsys.readouterr().err
        assert said in err
        assert len(err.splitlines()) == 1
        assert "p@ss" not in err


def test_the_last_hour_is_asked_about_and_that_is_said(
    clickhouse: ClickHouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flow", clickhouse.url]) == 0
    assert "the last 1 h" in capsys.readouterr().out


def test_a_table_of_somebody_else_is_one_sentence(clickhouse: ClickHouse) -> None:
    clickhouse.run("CREATE TABLE IF NOT EXISTS shop.other (a Int8) ENGINE = Memory")
    with pytest.raises(SourceError, match="is not the table of the OpenTelemetry Collector"):
        ClickHouseSource(f"{clickhouse.url}.other")


@pytest.mark.parametrize(
    "address", ["clickhouse://", "clickhouse://host:port/db", "clickhouse://u:s3cret@host/d'b", "clickhouse://h/a.b.c"]
)
def test_an_address_that_is_none_is_one_sentence(address: str) -> None:
    with pytest.raises(SourceError, match="is not the address of a ClickHouse") as raised:
        parse(address)
    assert "s3cret" not in str(raised.value)


def test_user_and_password_are_decoded_and_not_shown() -> None:
    target = parse("clickhouse://us%40er:p%3Ass@h:1/db.t")
    assert (target.user, target.password, target.table) == ("us@er", "p:ss", "t")
    assert target.shown == "clickhouse://h:1/db.t"


def test_what_schema_prints_makes_rows_of_the_topic_s_messages(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """All but the Kafka engine (tests/broker): a table without rows stands for the topic, a file for a message."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    from mqtrace.flow.clickhouse.schema import PROTO, statements

    for statement in statements("topic", "Null"):
        clickhouse.run(statement)
    (tmp_path / "otlp_traces.proto").write_text(PROTO)
    data = TracesData()
    for service in ("front", "back"):
        resource = data.resource_spans.add()
        resource.resource.attributes.add(key="service.name", value=AnyValue(string_value=service))
        for number in range(3):
            span = resource.scope_spans.add().spans.add(
                trace_id=bytes(15) + bytes((number + 1,)), span_id=b"\1" * 8, name="send", kind=4,
                start_time_unix_nano=OLD, end_time_unix_nano=OLD + 5,
            )  # fmt: skip
            span.attributes.add(key="messaging.kafka.offset", value=AnyValue(int_value=number))
            span.links.add(trace_id=b"\2" * 16, span_id=b"\3" * 8)
            span.status.code = 2
    (tmp_path / "message").write_bytes(data.SerializeToString())
    clickhouse.run(
        f"INSERT INTO topic.otel_topic SELECT * FROM file('{tmp_path}/message', 'ProtobufSingle') "
        f"SETTINGS format_schema = '{tmp_path}/otlp_traces:TracesData'"
    )
    found = clickhouse.run(
        "SELECT ServiceName, TraceId, SpanKind, StatusCode, Duration, SpanAttributes, Links.SpanId "
        "FROM topic.otel_traces ORDER BY ServiceName, TraceId"
    ).decode()
    assert len(found.splitlines()) == 6
    assert found.splitlines()[5].split("\t") == [
        "front", "0" * 31 + "3", "Producer", "Error", "5", "{'messaging.kafka.offset':'2'}", "['" + "03" * 8 + "']",
    ]  # fmt: skip
    clickhouse.run("DROP DATABASE topic")


def test_schema_prints_sql_for_a_broker_and_a_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "clickhouse", "--kafka", "kafka:9092", "--topic", "spans", "--into", "otel"]) == 0
    out = capsys.readouterr().out
    assert "kafka_broker_list = 'kafka:9092', kafka_topic_list = 'spans'" in out
    assert "CREATE TABLE IF NOT EXISTS otel.otel_traces" in out
    for wrong in (["--kafka", "h'"], ["--into", "a;b"], ["--topic", "x y"]):
        with pytest.raises(SystemExit):
            main(["schema", "clickhouse", *wrong])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_injected_loss_is_found_and_no_other(clickhouse: ClickHouse) -> None:
    """Of 300,000 spans, as of our own store (test_sources.py)."""
    if clickhouse.attributes != MAP:
        pytest.skip("once is enough: JSON has the same rows by the first test")
    shop = Shop(NOW, lose=500)
    clickhouse.make_table("many")
    clickhouse.insert(shop.spans(300_000), table="many")
    theirs = ClickHouseSource(f"{clickhouse.url}.many")
    try:
        rows = theirs.missing(WHOLE)
        found = {(row["sent_to"], row["subscription"], row["state"]): row["messages"] for row in rows}
        assert found == dict(shop.expected)
        assert sum(row["messages"] for row in theirs.flow(WHOLE)) > 100_000
    finally:
        theirs.close()
        clickhouse.run("DROP TABLE shop.many")


def test_a_page_on_one_that_refuses_says_so_and_goes_on(clickhouse: ClickHouse) -> None:
    source = ClickHouseSource(clickhouse.url)
    server_of_page = served(source)
    page = RemoteSource(server_of_page.address)
    try:
        clickhouse.refuse = 500, "Code: 202. DB::Exception: Too many queries. (TOO_MANY_SIMULTANEOUS_QUERIES)"
        with pytest.raises(SourceError, match=r"answers 503: .*ClickHouse"):
            page.flow(Scope(NOW - S, NOW))
        clickhouse.refuse = None
        assert page.traces(WHOLE, limit=1)
    finally:
        clickhouse.refuse = None
        server_of_page.close()
        source.close()


def test_tail_draws_what_is_there(clickhouse: ClickHouse, capsys: pytest.CaptureFixture[str]) -> None:
    """The table's spans are of another year than the last hour, so only what a test inserts now is new."""
    now = time.time_ns()
    sent = send("fresh", now - 5 * S, 1)
    clickhouse.insert([sent, take(sent, at=now - 4 * S)])
    command = ["tail", clickhouse.url, "--from-beginning", "--destination", "fresh", "--json", "--settle", "0.5"]
    assert main([*command, "--limit", "1", "--timeout", "60"]) == 0
    (trace,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["name"] for one in trace["spans"]] == ["send fresh", "process fresh"]
    clickhouse.run(f"ALTER TABLE shop.otel_traces DELETE WHERE TraceId = '{sent.trace_id}' SETTINGS mutations_sync = 1")
