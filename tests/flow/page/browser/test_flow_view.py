"""The map, what is pointed at on it, and the pairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]

#: Points of every line, eight to a pixel's neighbourhood, that lie within a label, or in a node it does not end at.
_CROSSINGS = """() => {
  const within = (x, y, box) => x > box.x + 0.5 && x < box.x + box.width - 0.5 && y > box.y + 0.5 && y < box.y + box.height - 0.5;
  const labels = [...document.querySelectorAll('.label')].map((e) => [e.closest('.arrow').dataset.id + ' ' + e.textContent, e.getBBox()]);
  const nodes = [...document.querySelectorAll('.node')].map((e) => [e.dataset.id, e.querySelector('rect, ellipse').getBBox()]);
  const found = [];
  for (const line of document.querySelectorAll('.arrow .line')) {
    const id = line.closest('.arrow').dataset.id;
    const half = Number(line.getAttribute('stroke-width')) / 2;
    for (let at = 0; at <= line.getTotalLength(); at += 1.5) {
      const { x, y } = line.getPointAtLength(at);
      for (const [label, box] of labels) {
        for (const dy of [-half, 0, half]) if (within(x, y + dy, box)) { found.push(`${id} crosses the label ${label}`); break; }
      }
      for (const [node, box] of nodes) if (!id.split('>').slice(0, 2).includes(node) && within(x, y, box)) found.push(`${id} crosses ${node}`);
    }
  }
  for (const [a, one] of labels) for (const [b, other] of labels) {
    if (a < b && one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height - 3 && other.y < one.y + one.height - 3) found.push(`${a} lies on ${b}`);
  }
  return [...new Set(found)];
}"""  # noqa: E501  # JavaScript


#: Where the middle of an arrow's line is on the screen.
_MIDDLE = """(id) => {
  const line = document.querySelector(`.arrow[data-id^="${id}"] .line`);
  const at = line.getPointAtLength(line.getTotalLength() / 2).matrixTransform(line.getScreenCTM());
  return [at.x, at.y];
}"""


class Tangled(Fake):
    """Services that answer those who asked, a queue that several read, and one that feeds itself."""

    def flow(self, scope: Scope) -> Any:
        rows = super().flow(scope)
        if not rows:
            return rows
        back = [("mail", "replies", "front"), ("stock", "replies", "payments"), ("audit", "audit.in", "audit")]
        back += [("front", "orders", receiver) for receiver in ("payments", "stock", "audit")]
        return rows + [
            {
                **rows[0],
                "sender": sender,
                "sent_to": queue,
                "taken_from": queue,
                "receiver": receiver,
                "subscription": f"{receiver}-of-{queue}",
                "errors": 3,
            }
            for sender, queue, receiver in back
        ]


def test_services_are_boxes_and_destinations_are_ellipses(look: Look) -> None:
    source = Fake()
    page = look(source).go()
    rows = source.flow(Scope())
    services = {name for row in rows for name in (row["sender"], row["receiver"]) if name}
    assert set(page.locator(".node.service rect + text").all_text_contents()) == services
    assert set(page.locator(".node.destination ellipse + text").all_text_contents()) == {row["sent_to"] for row in rows}


def test_an_arrow_says_its_rate_its_wait_and_what_failed(look: Look) -> None:
    source = Fake()
    page = look(source).go()
    row = next(row for row in source.flow(Scope()) if row["errors"] and row["system"] == "kafka")
    arrow = page.locator(f'.arrow[data-id^="d={row["taken_from"]}>s={row["receiver"]}"]')
    words = arrow.locator("text").all_text_contents()
    assert re.fullmatch(r"[0-9.]+/(s|min|h)", words[0])
    assert re.fullmatch(r"[0-9.]+ / [0-9.]+ (ms|s)", words[1])
    assert words[2] == f"{100 * row['errors'] / row['deliveries']:.1f} % failed"
    assert words[3] == row["subscription"]
    expect(arrow).to_have_class(re.compile("failing"))
    says = arrow.locator("title").text_content()
    assert says
    assert "deliveries" in says
    assert "wait in the queue: p50" in says


def test_what_waits_longer_has_another_colour(look: Look) -> None:
    page = look(Fake()).go()
    colours = page.evaluate(
        "[0,1,2,3,4,5].map((n) => getComputedStyle(document.querySelector(`.ramp .w${n}`)).backgroundColor)"
    )
    assert len(set(colours)) == 6


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("source", [Fake(), Fake(seed=2), Fake(seed=3, services=12), Fake(services=50), Tangled()])
def test_no_line_crosses_a_label_or_a_node_of_others(look: Look, source: Fake, width: int) -> None:
    page = look(source, width=width).go()
    assert page.locator(".arrow").count() > 10
    assert page.evaluate(_CROSSINGS) == []


def test_fifty_services_can_be_read(look: Look) -> None:
    page = look(Fake(services=50)).go()
    assert page.locator(".node.service").count() == 50
    sizes = page.evaluate("""[...document.querySelectorAll('.node text')].map((e) => {
      const box = e.getBoundingClientRect(); const stage = document.querySelector('.map').getBoundingClientRect();
      return [box.height, box.left >= stage.left - 1 && box.right <= stage.right + 1 && box.bottom <= stage.bottom + 1];
    })""")
    assert min(height for height, _ in sizes) >= 9
    assert all(inside for _, inside in sizes)


def test_names_that_begin_alike_can_be_one_and_are_opened_again(look: Look) -> None:
    page = look(Fake(services=50)).go()
    page.locator(".tools a").click()
    assert "group=true" in page.url
    expect(page.locator(".node.service.grouped").first).to_be_visible()
    grouped = page.locator(".node.service").count()
    assert grouped < 50
    before = page.locator(".node.service.grouped").count()
    page.locator(".node.service.grouped").first.click()
    expect(page.locator(".node.service.grouped")).to_have_count(before - 1)
    page.locator(".tools a").click()
    expect(page.locator(".node.service")).to_have_count(50)


def test_pointing_at_a_node_dims_what_is_not_on_its_paths_and_opens_the_panel(look: Look) -> None:
    page = look(Fake()).go()
    expect(page.locator(".panel h2")).to_have_text("Everything")
    page.locator(".node.service", has_text="payments").hover()
    expect(page.locator(".panel h2")).to_have_text("payments")
    expect(page.locator(".panel .spark")).to_have_count(2)
    expect(page.locator(".panel h3", has_text="Slowest traces")).to_be_visible()
    expect(page.locator(".panel h3", has_text="Errors")).to_be_visible()
    dimmed = set(page.locator(".node.dim text").all_text_contents())
    assert {"shipping", "mail", "search"} <= dimmed
    assert not {"front", "payments", "receipts"} & dimmed
    page.locator(".brand").hover()
    expect(page.locator(".node.dim")).to_have_count(0)
    expect(page.locator(".panel h2")).to_have_text("Everything")


def test_a_node_that_is_clicked_stays_in_the_panel_and_in_the_address(look: Look) -> None:
    page = look(Fake()).go()
    page.locator(".node.service", has_text="stock").click()
    page.locator(".brand").hover()
    expect(page.locator(".panel h2")).to_have_text("stock")
    assert "pin=" in page.url
    page.reload()
    expect(page.locator(".panel h2")).to_have_text("stock")
    page.keyboard.press("Escape")
    expect(page.locator(".panel h2")).to_have_text("Everything")


def test_an_arrow_leads_to_its_traces(look: Look) -> None:
    looking = look(Fake())
    page = looking.go("/?last=15m")
    x, y = page.evaluate(_MIDDLE, "d=search.in>")
    page.mouse.click(x, y)
    looking.drawn("traces")
    asked = parse_qs(urlsplit(page.url).query)
    assert asked == {"last": ["15m"], "service": ["search"], "destination": ["search.in"]}
    page.go_back()
    looking.drawn("flow")
    expect(page.locator(".node").first).to_be_visible()


def test_the_pairs_stand_in_a_table_that_sorts(look: Look) -> None:
    source = Fake()
    page = look(source).go()
    rows = source.flow(Scope())
    table = page.locator(".flow table")
    expect(table.locator("tbody tr")).to_have_count(len(rows))
    table.locator("thead a", has_text="Messages").click()
    expect(table.locator('th[aria-sort="descending"]')).to_have_count(1)
    assert "sort=-messages" in page.url
    shown = [int(text.replace("\u202f", "")) for text in table.locator('td[data-label="Messages"]').all_text_contents()]
    assert shown == sorted((row["messages"] for row in rows), reverse=True)
    table.locator("thead a", has_text="Messages").click()
    expect(table.locator('th[aria-sort="ascending"]')).to_have_count(1)


def test_a_search_finds_pairs_too(look: Look) -> None:
    page = look(Fake()).go()
    page.keyboard.press("/")
    page.keyboard.type("mail")
    expect(page.locator(".flow tbody tr")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".flow tbody tr")).to_have_count(8)


def test_a_thousand_services_are_not_drawn_all_at_once(look: Look) -> None:
    page = look(Fake(services=900)).go("/?group=false")
    expect(page.locator(".legend")).to_contain_text("the busiest 300 of ")
    assert page.locator(".arrow").count() == 300
    assert page.locator(".flow tbody tr").count() == 400
    expect(page.locator(".flow .sheet .foot")).to_have_text("and 500 more: search or filter for them")


def test_every_number_says_what_it_counts(look: Look) -> None:
    page = look(Fake()).go()
    page.wait_for_selector(".facts div")
    silent = page.evaluate(
        """[...document.querySelectorAll('td.number, th, .facts div, .status span, .spark figcaption')]
        .filter((e) => e.textContent && !e.title && !e.querySelector('[title]') && !e.closest('[title]'))
        .map((e) => e.outerHTML)"""
    )
    assert silent == []


def test_the_map_is_zoomed_and_fitted_by_keys(look: Look) -> None:
    page = look(Fake()).go()
    scale = "Number(document.querySelector('.map > g').getAttribute('transform').match(/scale\\(([^)]+)/)[1])"
    fitted = page.evaluate(scale)
    page.keyboard.press("+")
    assert page.evaluate(scale) > fitted * 1.2
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert page.evaluate(scale) < fitted
    page.keyboard.press("0")
    assert page.evaluate(scale) == pytest.approx(fitted, rel=0.01)


def test_numbers_that_change_move_nothing(look: Look) -> None:
    class Growing(Fake):
        spans = 320_000
        more = 0

        def state(self) -> Any:
            return {**super().state(), "spans": self.spans + self.more}

        def map(self, scope: Scope) -> Any:
            told = super().map(scope)
            for row in told["sent"]:
                row["messages"] += self.more
            return told

    source = Growing()
    page = look(source).go()
    places = "[...document.querySelectorAll('.node rect')].map((e) => [e.x.baseVal.value, e.y.baseVal.value].join())"
    before = page.evaluate(places)
    text = page.locator(".panel dd").first.text_content()
    assert text
    source.more = 900
    expect(page.locator(".panel dd").first).not_to_have_text(text)
    assert page.evaluate(places) == before
