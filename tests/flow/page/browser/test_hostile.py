"""What a source says is text, whatever it looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]
Span = Callable[..., dict[str, Any]]
OneTrace = Callable[..., tuple[Fake, str]]
MARKUP = '"><img src=x onerror=alert(1)><script>alert(2)</script><svg onload=alert(3)>{{7*7}}${alert(4)}'


@pytest.mark.parametrize("path", ["/", "/?group=true", "/traces", "/missing", "/failures"])
@pytest.mark.parametrize("width", [1280, 390])
def test_names_that_are_markup_are_shown_as_they_are(look: Look, path: str, width: int) -> None:
    looking = look(Fake(services=14, hostile=True), width=width)
    requests: list[str] = []
    looking.page.on("request", lambda request: requests.append(request.url))
    page = looking.go(path)
    page.wait_for_timeout(300)
    assert page.locator("main img, main script, main iframe, main style").count() == 0
    assert all(url.startswith(looking.address) for url in requests)
    assert "\x1b" not in page.locator("body").inner_text()
    assert "\u202e" not in page.locator("body").inner_text()


def test_markup_in_a_trace_is_shown_as_it_is(look: Look, span: Span, one_trace: OneTrace) -> None:
    event = {"name": MARKUP, "timestamp_ns": 1, "offset_ms": 0.0, "attributes": {MARKUP: MARKUP}}
    hostile = span(
        name=MARKUP,
        service=MARKUP,
        attributes={MARKUP: MARKUP, "url": "javascript:alert(5)", "ansi": "\x1b]8;;http://evil\x07click"},
        events=[event],
        links=[{"trace_id": MARKUP, "span_id": MARKUP, "attributes": {MARKUP: MARKUP}}],
        status="error",
        error=MARKUP,
        trace_state=MARKUP,
        destination=MARKUP,
        partition=MARKUP,
    )
    source, path = one_trace([hostile])
    page = look(source).go(f"{path}?span={hostile['span_id']}")
    expect(page.locator(".detail .error")).to_have_text(MARKUP)
    expect(page.locator(".detail h2")).to_have_text(MARKUP)
    expect(page.locator(".detail")).to_contain_text("␛]8;;http://evil␇click")
    links = page.locator("a").evaluate_all("es => es.map((e) => e.getAttribute('href'))")
    assert all(link.startswith("/") or link == "#main" for link in links)
    assert page.locator("main img, main script").count() == 0


def test_markup_in_the_address_is_text(look: Look) -> None:
    looking = look(Fake())
    page = looking.go("/traces?service=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&sort=__proto__&pin=constructor")
    expect(page.locator(".chip .name")).to_have_text('"><img src=x onerror=alert(1)>')
    assert page.locator("main img").count() == 0


def test_right_to_left_names_turn_nothing_but_themselves(look: Look) -> None:
    class Hebrew(Fake):
        def traces(self, scope: Scope, **how: Any) -> Any:
            return [{**row, "root": "שלום 123 order"} for row in super().traces(scope, **how)]

    page = look(Hebrew()).go("/traces")
    row = page.locator("tbody tr").first
    order = row.locator("td").evaluate_all("es => es.map((e) => e.getBoundingClientRect().left)")
    assert order == sorted(order)
    assert page.locator("tbody bdi").first.evaluate("e => getComputedStyle(e).unicodeBidi") == "isolate"


def test_an_attribute_of_ten_megabytes_does_not_hang_the_page(look: Look, span: Span, one_trace: OneTrace) -> None:
    """A source cuts at 64 KB; one that does not must not hang it either."""
    large = span(attributes={"body": "x" * 10_000_000, "cut": "y" * 65_536 + "... (cut at 64 KB)"})
    source, path = one_trace([large])
    page = look(source).go(f"{path}?span={large['span_id']}")
    detail = page.locator(".detail")
    expect(detail.locator("button.more").first).to_be_visible()
    assert len(detail.inner_text()) < 5_000
    detail.locator("dt", has_text="cut").locator("xpath=following-sibling::dd[1]").locator("button.more").click()
    expect(detail).to_contain_text("(cut at 64 KB)")


def test_the_policy_keeps_out_code_that_is_not_ours(look: Look) -> None:
    looking = look(Fake(), quietly=False)
    page = looking.go()
    page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = 1';
      const button = document.createElement('div');
      button.setAttribute('onclick', 'window.ran = 2');
      document.body.append(script, button);
      button.click();
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'went', () => 'kept')") == "kept"
    assert any("Content Security Policy" in complaint for complaint in looking.complaints)


def test_a_page_of_somebody_else_reads_nothing(look: Look, serve: Callable[..., Any]) -> None:
    victim = serve(Fake())
    attacker = look(Fake(), quietly=False)
    page = attacker.page
    page.route(
        "http://evil.example/**", lambda route: route.fulfill(body="<!doctype html>hello", content_type="text/html")
    )
    page.goto("http://evil.example/")
    asked = f"fetch('{victim.address}/api/state').then((r) => r.text(), (e) => 'refused')"
    assert page.evaluate(asked) == "refused"
    framed = page.evaluate(f"""new Promise((done) => {{
      const frame = document.createElement('iframe'); frame.src = '{victim.address}/';
      frame.onload = () => done(frame.contentDocument === null); document.body.append(frame); }})""")
    assert framed
