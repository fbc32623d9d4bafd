"""The list of traces."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]


def _ids(page: Any) -> list[str]:
    return [
        title.partition(":")[0] for title in page.locator("td.ids button").evaluate_all("es => es.map(e => e.title)")
    ]


def test_the_newest_come_first_and_the_slowest_on_request(look: Look) -> None:
    source = Fake()
    page = look(source).go("/traces")
    assert _ids(page) == [row["trace_id"] for row in source.traces(Scope(), limit=100)]
    page.get_by_role("link", name="Slowest").click()
    slowest = source.traces(Scope(), order="slowest", limit=100)
    expect(page.locator("td.ids button").first).to_have_text(slowest[0]["trace_id"][:8])
    assert _ids(page) == [row["trace_id"] for row in slowest]


def test_only_those_with_errors(look: Look) -> None:
    source = Fake()
    page = look(source).go("/traces")
    page.get_by_role("link", name="Errors").click()
    failed = source.traces(Scope(), errors=True, limit=100)
    expect(page.locator("tbody tr")).to_have_count(len(failed))
    assert _ids(page) == [row["trace_id"] for row in failed]


def test_those_with_an_attribute(look: Look) -> None:
    source = Fake()
    wanted = source.traces(Scope())[3]["trace_id"]
    page = look(source).go("/traces")
    field = page.get_by_label("Attribute, as key=value")
    field.fill("nonsense")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("write key=value")
    field.fill(f"order.id={wanted[:6]}")
    field.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert _ids(page) == [wanted]
    assert "attribute=order.id%3D" in page.url


def test_filters_in_the_address_hold_and_can_be_taken_away(look: Look) -> None:
    source = Fake()
    page = look(source).go("/traces?service=mail")
    assert _ids(page) == [row["trace_id"] for row in source.traces(Scope(services=("mail",)), limit=100)]
    expect(page.locator(".chip")).to_contain_text("mail")
    page.get_by_role("link", name="Remove the filter service mail").click()
    expect(page.locator(".chip")).to_have_count(0)
    assert "service=" not in page.url


def test_more_of_them_are_shown_on_request(look: Look) -> None:
    page = look(Fake()).go("/traces")
    expect(page.locator("tbody tr")).to_have_count(100)
    page.locator(".traces > .foot a").click()
    expect(page.locator("tbody tr")).to_have_count(200)
    expect(page.locator(".traces > .foot")).to_have_text("200 traces in the window.")


def test_a_row_leads_to_its_trace_and_back(look: Look) -> None:
    looking = look(Fake())
    page = looking.go("/traces?order=slowest")
    (first, *_) = _ids(page)
    page.locator("tbody tr").first.locator("td").nth(1).click()
    looking.drawn("trace ")
    assert f"/trace/{first}" in page.url
    page.go_back()
    looking.drawn("traces")
    assert page.url.endswith("/traces?order=slowest")
    assert _ids(page)[0] == first


def test_an_id_copies_with_a_click(look: Look) -> None:
    looking = look(Fake(), permissions=["clipboard-read", "clipboard-write"])
    page = looking.go("/traces")
    (first, *_) = _ids(page)
    page.locator("td.ids button").first.click()
    expect(page.locator("td.ids button").first).to_have_class(re.compile("copied"))
    assert page.evaluate("navigator.clipboard.readText()") == first
    assert "/traces" in page.url


def test_times_are_local_and_utc_on_hover(look: Look) -> None:
    class Fixed(Fake):
        def traces(self, scope: Scope, **how: Any) -> Any:
            return [{**super().traces(scope)[0], "start": "2026-11-28T20:30:15.123456Z"}]

    page = look(Fixed(), timezone_id="Asia/Tokyo").go("/traces")
    time = page.locator("tbody time")
    expect(time).to_have_text("2026-11-29 05:30:15.123")
    expect(time).to_have_attribute("title", "2026-11-28 20:30:15.123456 UTC")
