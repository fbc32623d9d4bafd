"""A browser that looks at a page, Debian's chromium driven by playwright, and sources whose answers a test says.

Where there is no chromium these tests are skipped on a laptop, and fail where CI is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, sync_playwright

from mqtrace.flow import Source, TraceAnswer, TraceSpan
from mqtrace.flow.fake import Fake

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class OneTrace(Fake):
    """A shop, and one trace that a test has made."""

    def __init__(self, spans: list[dict[str, Any]], **answer: Any) -> None:
        super().__init__()
        self._made = cast(
            TraceAnswer,
            {
                "trace_id": TRACE_ID,
                "root": spans[0]["name"],
                "start": "2026-11-29T12:00:00.000000Z",
                "duration_ms": 100.0,
                "services": ["front"],
                "errors": sum(span["status"] == "error" for span in spans),
                "spans": spans,
                "omitted": 0,
                **answer,
            },
        )

    def trace(self, trace_id: str) -> TraceAnswer | None:
        return self._made if trace_id == TRACE_ID else None


@pytest.fixture
def span() -> Callable[..., dict[str, Any]]:
    """``span(**what)``: a span of that trace, with these members."""
    number = 0

    def make(**what: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        made: TraceSpan = {
            "trace_id": TRACE_ID,
            "span_id": f"{number:016x}",
            "parent_id": None,
            "service": "front",
            "name": "work",
            "kind": "internal",
            "start": "2026-11-29T12:00:00.000000Z",
            "duration_ms": 10.0,
            "attributes": {},
            "offset_ms": 0.0,
            "start_ns": 1_795_953_600_000_000_000,
            "status": "unset",
            "error": None,
            "status_description": None,
            "destination": None,
            "partition": None,
            "wait_ms": None,
            "wait_measured": False,
            "guest": False,
            "retry": 0,
            "dead_letter": False,
            "batch": None,
            "events": [],
            "links": [],
            "trace_state": None,
        }
        return {**made, **what}

    return make


@pytest.fixture
def one_trace() -> Callable[..., tuple[Fake, str]]:
    """``one_trace(spans, **answer)``: a source that has it, and its address."""

    def make(spans: list[dict[str, Any]], **answer: Any) -> tuple[Fake, str]:
        return OneTrace(spans, **answer), f"/trace/{TRACE_ID}"

    return make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module: while it is there an event loop runs in this thread, and other tests want one of their own."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed: apt-get install chromium")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        # Root has no sandbox, and this browser sees nothing but our own page.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


class Looking:
    """A page that is looked at, and what its console said."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self.alerts: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _dialog(self, dialog: Dialog) -> None:
        self.alerts.append(dialog.message)
        dialog.dismiss()

    def go(self, path: str = "/") -> Page:
        """Open it, and wait until the view has been drawn."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector("main[data-loaded]")
        return self.page

    def drawn(self, view: str) -> Page:
        """Wait for another view."""
        self.page.wait_for_selector(f'main[data-loaded^="{view}"]:not([aria-busy])')
        return self.page


@pytest.fixture
def look(browser: Browser, serve: Callable[..., Any]) -> Iterator[Callable[..., Looking]]:
    """``look(source, width=)``: its page in the browser; it must not complain unless ``quietly`` is False."""
    contexts: list[BrowserContext] = []
    quiet: list[Looking] = []

    def open_page(
        source: Source | None = None,
        *,
        width: int = 1280,
        quietly: bool = True,
        address: str | None = None,
        **options: Any,
    ) -> Looking:
        context = browser.new_context(viewport={"width": width, "height": 800}, reduced_motion="reduce", **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        looking = Looking(context.new_page(), address or serve(source or Fake()).address)
        if quietly:
            quiet.append(looking)
        return looking

    yield open_page
    for context in contexts:
        context.close()
    for looking in quiet:
        assert looking.complaints == []
        assert looking.alerts == []
