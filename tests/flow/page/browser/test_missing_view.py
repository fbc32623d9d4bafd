"""What was sent and not processed; retries and dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from mqtrace.flow import STATES, Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]


def test_each_state_has_its_sentence_and_its_rows(look: Look) -> None:
    source = Fake()
    page = look(source).go("/missing")
    rows = [row for row in source.missing(Scope()) if row["state"]]
    titles = page.locator(".state h2").all_text_contents()
    assert [title.rstrip("0123456789\u202f") for title in titles] == [*STATES, "Partial readers"]
    for state, words in zip(STATES.values(), page.locator(".state > p").all_text_contents(), strict=False):
        assert words.lower().rstrip(".") == state.lower()
    total = sum(row["messages"] for row in rows)
    expect(page.locator("h1")).to_have_text(f"{total} messages not processed")
    assert "lost" not in page.locator("main").inner_text().lower()


def test_a_row_leads_to_its_example(look: Look) -> None:
    source = Fake()
    looking = look(source)
    page = looking.go("/missing")
    row = source.missing(Scope())[0]
    page.get_by_role("link", name=f"{row['example'][:8]} →").click()
    looking.drawn("trace ")
    assert page.url.endswith(f"/trace/{row['example']}")


def test_a_partial_reader_is_a_share_and_no_list(look: Look) -> None:
    page = look(Fake()).go("/missing")
    partial = page.locator(".state", has_text="Partial readers")
    expect(partial.locator('td[data-label="Handled"]')).to_have_text("12 %")
    expect(partial.locator('td[data-label="Messages"]')).to_have_count(0)


def test_nothing_missing_is_said(look: Look) -> None:
    class Whole(Fake):
        def missing(self, scope: Scope, after_s: float | None = None) -> Any:
            return []

    page = look(Whole()).go("/missing")
    expect(page.locator(".empty h2")).to_have_text("Nothing is missing")


def test_retries_and_dead_letters(look: Look) -> None:
    source = Fake()
    page = look(source).go("/failures")
    rows = source.failures(Scope())
    retries, dead = page.locator(".state").all()
    assert retries.locator("tbody tr").count() == sum(row["retries"] > 0 for row in rows)
    assert dead.locator("tbody tr").count() == sum(row["dead_letters"] > 0 for row in rows)
    expect(dead.locator('td[data-label="Because"]').first).to_have_text("rejected")
    expect(retries.locator('td[data-label="Attempts"]').first).to_have_text("4")


def test_no_retries_is_said(look: Look) -> None:
    class Smooth(Fake):
        def failures(self, scope: Scope) -> Any:
            return []

    page = look(Smooth()).go("/failures")
    expect(page.locator(".empty h2")).to_have_text("No retries and no dead letters")
