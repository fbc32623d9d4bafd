"""What the server answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

import mqtrace
from mqtrace.flow import STATES, Scope, answer
from mqtrace.flow.ask import QUESTIONS
from mqtrace.flow.fake import Fake

Client = Callable[..., TestClient]
NOW_NS = 1_780_000_000_000_000_000


@pytest.mark.parametrize("question", [name for name in QUESTIONS if name != "trace"])
def test_a_question_is_answered_as_the_source_answers_it(client: Client, question: str) -> None:
    source = Fake(now_ns=NOW_NS)
    told = client(source).get(f"/api/{question}", params={"last": "1h"})
    assert told.status_code == 200
    assert told.headers["content-type"] == "application/json"
    assert told.headers["cache-control"] == "no-store"
    assert told.json() == answer(source, question, {"last": ["1h"]})


def test_a_trace_is_answered_by_its_id(client: Client) -> None:
    source = Fake(now_ns=NOW_NS)
    (row, *_) = source.traces(Scope())
    told = client(source).get("/api/trace", params={"id": row["trace_id"]}).json()
    assert told == source.trace(row["trace_id"])


def test_a_trace_that_is_not_there_is_null(client: Client) -> None:
    told = client().get("/api/trace", params={"id": "ab" * 16})
    assert (told.status_code, told.json()) == (200, None)


def test_filters_are_passed_on(client: Client) -> None:
    source = Fake(now_ns=NOW_NS)
    told = client(source).get("/api/flow?service=mail&service=stock&destination=*").json()
    assert told == source.flow(Scope(services=("mail", "stock"), destinations=("*",)))
    assert told


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("flow?last=soon", "duration"),
        ("flow?from=yesterday", "time"),
        ("trace?id=xyz", "trace id"),
        ("trace", "trace id"),
        ("traces?limit=100000", "limit"),
        ("traces?attribute=x", "key=value"),
        ("flow?service=%ff", "UTF-8"),
        ("flow?" + "&".join(["service=a"] * 200), "hundred"),
    ],
)
def test_a_malformed_question_is_one_sentence(client: Client, query: str, words: str) -> None:
    told = client().get(f"/api/{query}")
    assert told.status_code == 400
    assert words in told.json()["error"]


def test_an_unknown_question_names_those_there_are(client: Client) -> None:
    told = client().get("/api/drop")
    assert told.status_code == 404
    assert "missing" in told.json()["error"]


def test_a_source_that_is_gone_is_its_sentence(client: Client) -> None:
    told = client(Fake(trouble="no Kafka broker answers at localhost:9092")).get("/api/flow")
    assert told.status_code == 503
    assert told.json() == {"error": "no Kafka broker answers at localhost:9092"}


def test_a_fault_of_the_source_ends_one_question_and_not_the_server(client: Client) -> None:
    class Broken(Fake):
        def flow(self, scope: Scope) -> Any:
            raise ZeroDivisionError("division by zero")

    asked = client(Broken())
    assert asked.get("/api/flow").status_code == 503
    assert asked.get("/api/errors").status_code == 503
    assert asked.get("/api/state").status_code == 200


def test_numbers_that_json_cannot_say_are_text(client: Client) -> None:
    odd = {"a": float("nan"), "b": [float("inf"), {"c": -float("inf")}], "d": 1.5}

    class Odd(Fake):
        def trace(self, trace_id: str) -> Any:
            trace: Any = super().trace(trace_id)
            return {**trace, "spans": [{**trace["spans"][0], "attributes": odd}]}

    source = Odd()
    (row, *_) = source.traces(Scope())
    told = client(source).get("/api/trace", params={"id": row["trace_id"]}).json()
    assert told["spans"][0]["attributes"] == {"a": "nan", "b": ["inf", {"c": "-inf"}], "d": 1.5}


def test_what_it_is_about(client: Client) -> None:
    assert client().get("/api/about").json() == {"version": mqtrace.__version__, "states": STATES}


@pytest.mark.parametrize("path", ["/", "/traces", "/missing", "/failures", "/trace/" + "ab" * 16, "/traces?last=1h"])
def test_every_view_is_the_one_page(client: Client, path: str) -> None:
    told = client().get(path)
    assert told.status_code == 200
    assert told.headers["content-type"] == "text/html; charset=utf-8"
    assert told.text.startswith("<!doctype html>")


def test_an_icon_is_served(client: Client) -> None:
    for path in ("/favicon.ico", "/static/favicon.svg"):
        told = client().get(path)
        assert (told.status_code, told.headers["content-type"]) == (200, "image/svg+xml")


def test_a_file_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    asked = client()
    first = asked.get("/static/style.css")
    assert first.headers["cache-control"] == "no-cache"
    again = asked.get("/static/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["../application.py", "..%2fapplication.py", "%2e%2e/serve.py", "/etc/passwd", "js", "", "js/"]
)
def test_no_name_leads_out_of_the_files_of_the_page(client: Client, path: str) -> None:
    assert client().get(f"/static/{path}").status_code == 404


def test_what_is_live_is_told_again_and_again(serve: Callable[..., Any]) -> None:
    source = Fake(now_ns=NOW_NS)
    with httpx.stream("GET", f"{serve(source, tick_s=0.01).address}/api/live") as told:
        assert told.headers["content-type"].startswith("text/event-stream")
        lines = told.iter_lines()
        assert next(lines) == "retry: 1000"
        events = [json.loads(line[6:]) for line in islice((line for line in lines if line[:6] == "data: "), 3)]
    assert events == [source.state()] * 3
