"""One trace as a waterfall."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]
Span = Callable[..., dict[str, Any]]
OneTrace = Callable[..., tuple[Fake, str]]


def _boxes(page: Any, selector: str) -> list[tuple[float, float]]:
    """(left, width) of what a selector finds, in percent of its track."""
    found = page.locator(selector).evaluate_all(
        """es => es.map((e) => {
        const [track, box] = [e.parentElement.getBoundingClientRect(), e.getBoundingClientRect()];
        return [100 * (box.left - track.left) / track.width, 100 * box.width / track.width]; })"""
    )
    return [(left, width) for left, width in found]


def test_a_message_waits_as_a_thin_line_and_is_worked_on_as_a_bar(look: Look, span: Span, one_trace: OneTrace) -> None:
    root = span(name="POST /order", kind="server", duration_ms=100.0)
    sent = span(name="send orders", kind="producer", parent_id=root["span_id"], offset_ms=10.0, duration_ms=5.0)
    taken = span(
        name="process orders",
        kind="consumer",
        parent_id=sent["span_id"],
        offset_ms=60.0,
        duration_ms=20.0,
        wait_ms=40.0,
    )
    source, path = one_trace([root, sent, taken])
    page = look(source).go(path)
    expect(page.locator(".row")).to_have_count(3)
    assert [text.strip() for text in page.locator(".what .name").all_text_contents()] == [
        "POST /order",
        "send orders",
        "process orders",
    ]
    (waited,) = _boxes(page, ".waited")
    assert waited == pytest.approx((20, 40), abs=1)
    assert _boxes(page, ".consumer .work")[0] == pytest.approx((60, 20), abs=1)
    heights = page.evaluate("['.waited', '.consumer .work'].map((s) => document.querySelector(s).clientHeight)")
    assert heights[0] < heights[1] / 3
    assert [page.locator(".row").nth(n).get_attribute("aria-level") for n in range(3)] == ["1", "2", "3"]


def test_a_wait_of_hours_leaves_room_for_the_work(look: Look, span: Span, one_trace: OneTrace) -> None:
    taken = span(kind="consumer", duration_ms=100.0, wait_ms=7_200_000.0, wait_measured=True)
    source, path = one_trace([taken])
    page = look(source).go(path)
    assert _boxes(page, ".work")[0][1] > 25
    expect(page.locator(".waited.cut")).to_have_count(1)
    expect(page.locator(".sum")).to_contain_text("2 h of waiting")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_time_stands_beside_its_bar_and_on_no_name(look: Look, span: Span, one_trace: OneTrace, width: int) -> None:
    whole = span(duration_ms=100.0)
    late = span(kind="consumer", parent_id=whole["span_id"], offset_ms=98.0, duration_ms=1.0, wait_ms=98.0)
    last = span(offset_ms=97.0, duration_ms=2.0)
    early = span(offset_ms=0.0, duration_ms=1.0, status="error", error="Busy")
    source, path = one_trace([whole, late, last, early])
    page = look(source, width=width).go(path)
    beside = page.evaluate(
        """[...document.querySelectorAll('.row')].map((row) => {
        const [time, track] = ['.time', '.track'].map((s) => row.querySelector(s).getBoundingClientRect());
        return [time.left >= track.left - 1, time.right <= track.right + 11]; })"""
    )
    assert beside == [[True, True]] * 4


def test_attempts_are_numbered_once_there_are_several(look: Look, span: Span, one_trace: OneTrace) -> None:
    sent = span(kind="producer", name="send orders")
    first, second, third = (
        span(kind="consumer", parent_id=sent["span_id"], destination="orders", retry=retry, offset_ms=10.0 * retry)
        for retry in range(3)
    )
    alone = span(kind="consumer", parent_id=sent["span_id"], destination="mail")
    source, path = one_trace([sent, {**first, "status": "error", "error": "Busy"}, second, third, alone])
    page = look(source).go(path)
    assert page.locator(".mark").all_text_contents() == ["attempt 1", "attempt 2", "attempt 3"]
    expect(page.locator(".row.failed")).to_have_count(1)


def test_guests_dead_letters_and_orphans_are_marked(look: Look, span: Span, one_trace: OneTrace) -> None:
    sent = span(kind="producer")
    link = {"trace_id": sent["trace_id"], "span_id": sent["span_id"], "attributes": {}}
    guest = span(kind="consumer", guest=True, trace_id="ab" * 16, batch=1200, links=[link], offset_ms=-30.0)
    dead = span(kind="consumer", parent_id=sent["span_id"], dead_letter=True)
    orphan = span(parent_id="00000000000000ff")
    source, path = one_trace([sent, dead, guest, orphan])
    page = look(source).go(path)
    assert page.locator(".mark").all_text_contents() == ["dead letter", "batch of 1\u202f200", "no parent"]
    expect(page.locator(".row.guest")).to_have_attribute("aria-level", "2")
    expect(page.locator(".sum")).to_contain_text("1 batch guest")
    expect(page.locator(".sum")).to_contain_text("The parents of 1 span have not arrived.")
    assert _boxes(page, ".guest .work")[0][0] >= 0


def test_a_click_opens_a_span_and_the_address_says_it(look: Look, span: Span, one_trace: OneTrace) -> None:
    root = span(name="POST /order", attributes={"order.id": 42, "big": 2**62 + 1, "list": ["a", 1], "none": None})
    event = {"name": "exception", "timestamp_ns": 1, "offset_ms": 3.0, "attributes": {"exception.stacktrace": "a\n\tb"}}
    child = span(
        parent_id=root["span_id"],
        status="error",
        error="Busy: try later",
        events=[event],
        links=[{"trace_id": "cd" * 16, "span_id": "12" * 8, "attributes": {"messaging.kafka.offset": 7}}],
    )
    source, path = one_trace([root, child])
    looking = look(source)
    page = looking.go(path)
    page.locator(".row").first.click()
    detail = page.locator(".detail")
    expect(detail.locator("h2")).to_have_text("POST /order")
    assert f"span={root['span_id']}" in page.url
    said = [detail.locator(f"section {tag}").all_text_contents() for tag in ("dt", "dd")]
    values = {"order.id": "42", "big": "4611686018427387905", "list": '[\n "a",\n 1\n]', "none": "null"}
    assert dict(zip(*said, strict=True)) == values
    page.locator(".row").nth(1).click()
    expect(detail.locator(".error")).to_have_text("Busy: try later")
    expect(detail).to_contain_text("exception")
    assert "a\n\tb" in (detail.locator(".event dd").first.text_content() or "")
    link = detail.get_by_role("link", name="cdcdcdcd…, " + "12" * 8)
    expect(link).to_have_attribute("href", f"/trace/{'cd' * 16}?span={'12' * 8}")
    page.reload()
    expect(page.locator(".detail h2")).to_have_text("work")
    page.keyboard.press("Escape")
    expect(page.locator(".detail")).to_be_hidden()


def test_arrow_keys_walk_over_the_spans(look: Look, span: Span, one_trace: OneTrace) -> None:
    source, path = one_trace([span(name=f"span {n}") for n in range(5)])
    page = look(source).go(path)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".detail h2")).to_have_text("span 1")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".detail h2")).to_have_text("span 2")
    page.keyboard.press("End")
    expect(page.locator(".detail h2")).to_have_text("span 4")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/traces"))


def test_past_500_rows_only_those_on_the_screen_are_drawn(look: Look, span: Span, one_trace: OneTrace) -> None:
    source, path = one_trace([span(name=f"span {n}", offset_ms=n / 100) for n in range(10_000)], omitted=2_345)
    page = look(source).go(path)
    assert page.locator(".row").count() < 200
    expect(page.locator(".sum")).to_contain_text("2\u202f345 further spans are not shown: a trace is cut at 10 000.")
    page.mouse.wheel(0, 120_000)
    expect(page.locator(".row .name", has_text=re.compile("^span 5[0-9]{3}$")).first).to_be_visible()
    assert page.locator(".row").count() < 200
    page.mouse.wheel(0, 1_000_000)
    expect(page.locator(".row .name", has_text="span 9999")).to_be_visible()


def test_a_span_far_down_is_scrolled_to(look: Look, span: Span, one_trace: OneTrace) -> None:
    spans = [span(name=f"span {n}") for n in range(3_000)]
    source, path = one_trace(spans)
    page = look(source).go(f"{path}?span={spans[2_500]['span_id']}")
    expect(page.locator('.row[aria-selected="true"] .name')).to_have_text("span 2500")
    expect(page.locator('.row[aria-selected="true"]')).to_be_in_viewport()


def test_up_to_500_rows_are_all_there_to_be_found(look: Look, span: Span, one_trace: OneTrace) -> None:
    source, path = one_trace([span() for _ in range(500)])
    expect(look(source).go(path).locator(".row")).to_have_count(500)


def test_a_trace_that_is_not_there_says_why_that_may_be(look: Look) -> None:
    page = look(Fake()).go(f"/trace/{'ab' * 16}")
    expect(page.locator(".empty h2")).to_have_text("No span of this trace is here")
    expect(page.locator(".empty")).to_contain_text("not sampled")


def test_spans_that_arrive_later_appear_by_themselves(look: Look) -> None:
    source = Fake(trace_spans=3)
    wanted = source.traces(Scope())[0]["trace_id"]
    page = look(source).go(f"/trace/{wanted}")
    expect(page.locator(".row")).to_have_count(3)
    source._trace_spans = 8
    source.changes["spans"] = 400_000
    expect(page.locator(".row")).to_have_count(8)
