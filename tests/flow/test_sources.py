"""Spans by the hundred thousand, losses of every state: all are found and no other, and every source says the same.

The topic is in tests/broker/test_flow_kafka.py, ClickHouse in test_clickhouse.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from mqtrace.cli import main
from mqtrace.flow import STATES, Scope, Source
from mqtrace.flow.opening import opened, reader_of
from mqtrace.flow.store.file_source import DatabaseSource
from mqtrace.flow.store.filled import FilledSource

from .encoded import json_line, payload
from .page.served import served
from .shop import Shop
from .spans import NOW, S

#: Of all that is there, and of an hour in the middle of it.
SCOPES = (Scope(to_ns=NOW), Scope(NOW - 3600 * S, NOW))


class Written:
    """A shop's spans in files: JSON a line, protobuf with lengths, and the DuckDB file that was filled from that."""

    def __init__(self, folder: Path, count: int) -> None:
        self.shop = Shop(NOW, lose=250 if count < 100_000 else 500)
        lines, framed, self.database = folder / "spans.jsonl", folder / "spans.pb", folder / "spans.duckdb"
        spans = self.shop.spans(count)
        with lines.open("wb") as text, framed.open("wb") as binary:
            while batch := list(islice(spans, 100)):
                text.write(json_line(batch))
                message = payload(batch)
                binary.write(len(message).to_bytes(4, "big") + message)
        self.lines, self.framed = f"file://{lines}", f"file://{framed}"
        source = FilledSource(reader_of(self.framed), self.database)
        source.fill()
        source.close()


@pytest.fixture(scope="module", params=[30_000, pytest.param(300_000, marks=pytest.mark.slow)])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("spans"), request.param)


@pytest.fixture(params=["JSON file", "protobuf file", "DuckDB file", "page"])
def source(request: pytest.FixtureRequest, written: Written) -> Iterator[Source]:
    if request.param == "page":
        kept = DatabaseSource(written.database)
        server = served(kept)
        yield opened(server.address)
        server.close()
        kept.close()
        return
    if request.param == "DuckDB file":
        made: Any = DatabaseSource(written.database)
    else:
        made = FilledSource(reader_of(written.lines if request.param == "JSON file" else written.framed))
        made.fill()
    yield made
    made.close()


@pytest.fixture(scope="module")
def answers(written: Written) -> list[Any]:
    """Of the DuckDB file."""
    kept = DatabaseSource(written.database)
    found = asked(kept)
    kept.close()
    return found


def asked(source: Source) -> list[Any]:
    """Every question; through JSON, as a page has it."""
    found: list[Any] = []
    for scope in SCOPES:
        found += [
            source.map(scope),
            source.flow(scope),
            source.missing(scope),
            source.traces(scope, limit=50),
            source.traces(scope, order="slowest", errors=True, limit=50),
            source.failures(scope),
            source.errors(scope),
            source.series(scope, 20),
        ]
    return list(json.loads(json.dumps(found)))


@pytest.mark.timeout(600)
def test_every_loss_is_found_and_no_other_and_all_answers_are_the_same(
    source: Source, written: Written, answers: list[Any]
) -> None:
    rows = source.missing(SCOPES[0])
    found = {(row["sent_to"], row["subscription"], row["state"]): row["messages"] for row in rows}
    assert found == dict(written.shop.expected)
    assert {state for _, _, state in found} == set(STATES)
    for row in rows:
        assert row["example"] in written.shop.examples[row["sent_to"], row["subscription"] or "", row["state"] or ""]
    assert asked(source) == answers


def test_the_command_says_the_same_of_a_file(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["missing", str(written.database), "--to", str(NOW), "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {(row["sent_to"], row["subscription"], row["state"]): row["messages"] for row in rows}
    assert found == dict(written.shop.expected)
