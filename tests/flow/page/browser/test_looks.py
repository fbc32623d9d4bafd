"""Narrow screens, light and dark, names for who does not see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from mqtrace.flow import Scope
from mqtrace.flow.fake import Fake

Look = Callable[..., Any]
PATHS = ["/", "/traces", "/missing", "/failures", "trace"]

#: WCAG's contrast of each colour of text on each ground that it stands on.
_CONTRAST = """() => {
  const style = getComputedStyle(document.documentElement);
  const probe = document.body.appendChild(document.createElement('i'));
  const luminance = (name) => {
    probe.style.color = style.getPropertyValue(name).trim();
    const [r, g, b] = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = {};
  for (const text of ['--ink', '--soft', '--faint', '--accent', '--bad', '--wait']) for (const ground of ['--paper', '--sheet']) {
    const [a, b] = [luminance(text), luminance(ground)].sort((x, y) => y - x);
    found[text + ' on ' + ground] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""  # noqa: E501  # JavaScript


def _path(source: Fake, path: str) -> str:
    return f"/trace/{source.traces(Scope(), errors=True)[0]['trace_id']}" if path == "trace" else path


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("services", [8, 50])
def test_a_narrow_screen_is_not_wider_than_itself(look: Look, path: str, services: int) -> None:
    source = Fake(services=services, hostile=services == 50)
    page = look(source, width=390).go(_path(source, path))
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.evaluate(
        """[...document.querySelectorAll('main *, header *')].filter((e) => !e.closest('svg, .unseen'))
        .filter((e) => e.getBoundingClientRect().right > 391).map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(look: Look, scheme: str) -> None:
    page = look(Fake(), color_scheme=scheme).go()
    contrasts = page.evaluate(_CONTRAST)
    assert {pair: round(value, 2) for pair, value in contrasts.items() if value < 4.5} == {}


def test_light_and_dark_follow_the_system(look: Look) -> None:
    page = look(Fake()).go()
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) != light


@pytest.mark.parametrize("path", PATHS)
def test_whatever_can_be_pressed_has_a_name(look: Look, path: str) -> None:
    source = Fake()
    page = look(source).go(_path(source, path))
    nameless = page.evaluate(
        """[...document.querySelectorAll('a, button, input, [role=button], [role=treeitem], svg[role]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.title))
        .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_nothing_moves_for_who_does_not_want_it(look: Look) -> None:
    page = look(Fake()).go()
    assert page.evaluate("getComputedStyle(document.querySelector('.node')).transitionDuration") == "0s"


def test_the_head_leads_past_itself(look: Look) -> None:
    page = look(Fake()).go()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_red_is_for_errors_alone(look: Look) -> None:
    class Clean(Fake):
        def flow(self, scope: Scope) -> Any:
            return [{**row, "errors": 0, "send_errors": 0} for row in super().flow(scope)]

        def errors(self, scope: Scope) -> Any:
            return []

        def series(self, scope: Scope, steps: int = 60) -> Any:
            return [{**row, "errors": 0} for row in super().series(scope, steps)]

        def traces(self, scope: Scope, **how: Any) -> Any:
            return [{**row, "errors": 0} for row in super().traces(scope, **how)]

    page = look(Clean()).go()
    page.wait_for_selector(".spark")
    red = page.evaluate("""() => {
      const probe = document.body.appendChild(document.createElement('i')); probe.style.color = 'var(--bad)';
      const bad = getComputedStyle(probe).color; probe.remove();
      return [...document.querySelectorAll('main *')].filter((e) => { const s = getComputedStyle(e);
        return (s.color === bad && e.textContent.trim())
          || (e.closest('svg') && (s.fill === bad || s.stroke === bad)); })
        .map((e) => e.outerHTML.slice(0, 120)); }""")
    assert red == []
