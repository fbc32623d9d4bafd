"""Sources that are empty, behind, quiet, broken, gone: each says what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from mqtrace.flow import Scope, SourceError
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]
VIEWS = {"/": "flow", "/traces": "traces", "/missing": "missing", "/failures": "failures"}


@pytest.mark.parametrize("path", VIEWS)
def test_a_source_without_spans_says_how_they_come(look: Look, path: str) -> None:
    page = look(Fake(services=0)).go(path)
    expect(page.locator(".empty h2")).to_have_text("No spans yet")
    expect(page.locator(".empty pre")).to_contain_text('exporter="kafka://localhost:9092/otlp_spans"')
    expect(page.locator(".dot")).to_have_text("empty")


def test_the_first_spans_appear_by_themselves(look: Look) -> None:
    source = Fake(services=0)
    page = look(source).go()
    expect(page.locator(".empty h2")).to_have_text("No spans yet")
    full = Fake()
    source._flow, source._services, source._traces = full._flow, full._services, full._traces
    expect(page.locator(".node.service")).to_have_count(8)


def test_a_window_without_spans_leads_further_back(look: Look) -> None:
    class Old(Fake):
        def flow(self, scope: Scope) -> Any:
            return []

    page = look(Old()).go()
    expect(page.locator(".empty h2")).to_have_text("No message was sent or taken in this window")
    page.locator(".empty").get_by_role("link", name="24h").click()
    assert "last=24h" in page.url


def test_filters_that_nothing_passes_can_be_cleared(look: Look) -> None:
    page = look(Fake()).go("/traces?service=nobody")
    expect(page.locator(".empty h2")).to_have_text("No trace that passes the filters")
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def _notice(look: Look, **changes: Any) -> Any:
    return look(Fake(changes=changes)).go().locator("#notice")


def test_what_is_still_to_be_read_is_said(look: Look) -> None:
    notice = _notice(look, behind=120_000)
    expect(notice).to_contain_text("Still reading: 120\u202f000 messages of the topic are to come")
    expect(notice.page.locator(".dot")).to_have_text("reading")


def test_nothing_sampled_is_said(look: Look) -> None:
    expect(_notice(look, sampled=0.0)).to_contain_text("Nothing is sampled")


def test_a_share_that_is_sampled_is_said(look: Look) -> None:
    page = look(Fake(changes={"sampled": 0.1})).go()
    expect(page.locator(".status")).to_contain_text("10 % sampled")


def test_a_quiet_source_is_said(look: Look) -> None:
    notice = _notice(look, age_s=720.0)
    expect(notice).to_contain_text("No span has ended for 12 min")
    expect(notice.page.locator(".dot")).to_have_text("quiet")


def test_what_was_malformed_is_said(look: Look) -> None:
    notice = _notice(look, messages_malformed=3, spans_malformed=1)
    expect(notice).to_contain_text("3 messages held no OTLP, 1 span had no valid ids")


def test_a_source_in_trouble_is_said_and_what_was_read_is_shown(look: Look) -> None:
    page = look(Fake(changes={"trouble": "no Kafka broker answers at localhost:9092"})).go()
    expect(page.locator("#notice")).to_have_text(
        "No Kafka broker answers at localhost:9092. What was read before that is shown."
    )
    expect(page.locator("#notice")).to_have_class("bad")
    expect(page.locator(".node").first).to_be_visible()


@pytest.mark.parametrize("path", VIEWS)
def test_a_source_that_cannot_be_asked_is_its_sentence_and_asked_again(look: Look, path: str) -> None:
    source = Fake(trouble="the file spans.duckdb is in use by another process")
    looking = look(source, quietly=False)
    page = looking.page
    page.goto(looking.address + path)
    expect(page.locator(".empty h2")).to_have_text("The source does not answer")
    expect(page.locator(".empty")).to_contain_text("The file spans.duckdb is in use by another process.")
    expect(page.locator("#notice")).not_to_contain_text("What was read before")
    source.trouble = None
    source.changes["spans"] = 1_000_000
    page.wait_for_selector("main[data-loaded]")
    expect(page.locator(".empty")).to_have_count(0)


def test_a_server_that_is_gone_is_said_and_found_again(look: Look, serve: Callable[..., Any]) -> None:
    source = Fake()
    server = serve(source)
    looking = look(address=server.address, quietly=False)
    page = looking.go()
    expect(page.locator(".dot")).to_have_text("live")
    server.close()
    expect(page.locator("#notice")).to_contain_text("mqtrace ui does not answer")
    expect(page.locator(".dot")).to_have_text("no server")
    expect(page.locator(".node").first).to_be_visible()
    serve(source, port=server.port)
    expect(page.locator(".dot")).to_have_text("live")
    expect(page.locator("#notice")).to_be_hidden()


def test_the_map_is_there_where_the_pairs_take_too_long(look: Look) -> None:
    class Slow(Fake):
        def map(self, scope: Scope) -> Any:
            return Fake().map(scope)

        def flow(self, scope: Scope) -> Any:
            raise SourceError("the question took longer than 10 s")

    looking = look(Slow(), quietly=False)
    page = looking.page
    page.goto(looking.address)
    expect(page.locator(".node.service")).to_have_count(8)
    expect(page.locator(".flow .foot").first).to_contain_text("were not counted: look at a shorter window")


def test_an_address_that_cannot_be_asked_says_so(look: Look) -> None:
    looking = look(Fake(), quietly=False)
    page = looking.page
    page.goto(looking.address + "/?last=soon")
    expect(page.locator(".empty h2")).to_have_text("This cannot be asked")
    expect(page.locator(".empty")).to_contain_text("is not a duration")
    page.get_by_role("link", name="Back to the map").click()
    expect(page.locator(".node").first).to_be_visible()


@pytest.mark.parametrize("kind", ["duckdb", "memory"])
def test_what_gets_no_more_is_at_rest(look: Look, kind: str) -> None:
    """A DuckDB file, and what the demo saw."""
    page = look(Fake(changes={"kind": kind, "window_s": None, "age_s": 720.0})).go()
    expect(page.locator(".dot")).to_have_text("at rest")
    expect(page.locator("#notice")).to_be_hidden()


def test_a_file_is_looked_at_whole(look: Look) -> None:
    page = look(Fake(changes={"kind": "file", "window_s": None, "source": "spans.jsonl"})).go()
    expect(page.locator('.windows [aria-current="true"]')).to_have_text("all")
