"""The keyboard, the address, back and forward."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]


@pytest.mark.parametrize(("key", "view"), [("t", "traces"), ("m", "missing"), ("r", "failures"), ("f", "flow")])
def test_a_key_for_each_view(look: Look, key: str, view: str) -> None:
    looking = look(Fake())
    page = looking.go("/traces?last=15m&service=mail" if view == "flow" else "/?last=15m&service=mail")
    page.keyboard.press(key)
    looking.drawn(view)
    assert "last=15m" in page.url
    assert "service=mail" in page.url
    expect(page.locator('nav [aria-current="page"]')).to_have_count(1)


def test_back_and_forward_go_through_what_was_looked_at(look: Look) -> None:
    looking = look(Fake())
    page = looking.go()
    page.get_by_role("link", name="6h").click()
    page.keyboard.press("t")
    looking.drawn("traces")
    page.get_by_role("link", name="Errors").click()
    expect(page).to_have_url(re.compile("errors=true"))
    page.go_back()
    expect(page).not_to_have_url(re.compile("errors=true"))
    page.go_back()
    looking.drawn("flow")
    expect(page.locator('.windows [aria-current="true"]')).to_have_text("6h")
    page.go_back()
    expect(page.locator('.windows [aria-current="true"]')).to_have_text("1h")
    page.go_forward()
    page.go_forward()
    looking.drawn("traces")
    page.go_forward()
    expect(page).to_have_url(re.compile("errors=true"))


def test_a_slash_searches_and_escape_leaves(look: Look) -> None:
    looking = look(Fake())
    page = looking.go()
    page.keyboard.press("/")
    field = page.get_by_role("combobox")
    expect(field).to_be_focused()
    page.keyboard.type("ship")
    expect(page.get_by_role("option").first).to_contain_text("shipping")
    expect(page.locator(".node:not(.dim)")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator(".node.dim")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(field).not_to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("ship")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("service=shipping"))
    expect(page.locator(".chip")).to_contain_text("shipping")
    page.keyboard.press("Escape")
    expect(page.locator(".chip")).to_have_count(0)


def test_a_trace_id_that_is_pasted_leads_to_its_trace(look: Look) -> None:
    source = Fake()
    wanted = source.traces(Scope())[5]["trace_id"]
    looking = look(source)
    page = looking.go()
    page.keyboard.press("/")
    page.get_by_role("combobox").fill(wanted.upper())
    page.keyboard.press("Enter")
    looking.drawn("trace ")
    assert page.url.endswith(f"/trace/{wanted}")


def test_keys_that_are_typed_into_a_field_are_text(look: Look) -> None:
    page = look(Fake()).go("/traces")
    field = page.get_by_label("Attribute, as key=value")
    field.click()
    page.keyboard.type("f=m/r?")
    expect(field).to_have_value("f=m/r?")
    assert page.url.endswith("/traces")


def test_rows_are_walked_and_opened(look: Look) -> None:
    looking = look(Fake())
    page = looking.go("/traces")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    second = page.locator("td.ids button").nth(1).get_attribute("title")
    assert second
    page.keyboard.press("Enter")
    looking.drawn("trace ")
    assert second.partition(":")[0] in page.url


def test_the_keys_are_listed(look: Look) -> None:
    page = look(Fake()).go()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("search")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_window_from_one_time_to_another(look: Look) -> None:
    page = look(Fake(), timezone_id="Europe/Berlin").go("/traces")
    page.locator(".windows button").click()
    page.get_by_label("From").fill("2026-11-29T10:00:00")
    page.get_by_label("To").fill("2026-11-29T11:30:00")
    page.get_by_role("button", name="Look at it").click()
    assert "from=2026-11-29T09%3A00%3A00.000Z&to=2026-11-29T10%3A30%3A00.000Z" in page.url
    expect(page.locator(".windows button")).to_contain_text("11:30:00")


def test_a_focused_node_opens_the_panel(look: Look) -> None:
    page = look(Fake()).go()
    page.locator(".node.service", has_text="mail").focus()
    expect(page.locator(".panel h2")).to_have_text("mail")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("pin=s%3Dmail"))
