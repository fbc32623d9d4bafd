"""A page of made-up answers, and a browser that looks at it: Debian's chromium, driven by playwright.

Where there is no chromium the tests of the browser are skipped on a laptop, and fail where CI is set.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, sync_playwright
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from mqtrace.flow import Source
from mqtrace.flow.fake import Fake
from mqtrace.flow.page import application

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Server:
    """An application on a port of this machine, in a thread."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(64)
        self.port = int(self._socket.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def close(self) -> None:
        """End it, whoever is still listening."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def client() -> Iterator[Callable[..., TestClient]]:
    """``client(source, **options)``: asks an application without a network."""
    opened: list[TestClient] = []

    def make(source: Source | None = None, **options: Any) -> TestClient:
        app = application(source or Fake(), tick_s=0.01, **options)
        made = TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False)
        made.__enter__()
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.__exit__(None, None, None)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve(source)``: its page on a port; the tick is short, so that nobody waits."""
    running: list[Server] = []

    def start(source: Source, *, port: int = 0, tick_s: float = 0.1) -> Server:
        server = Server(application(source, tick_s=tick_s), port)
        running.append(server)
        return server

    yield start
    for server in running:
        server.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
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
def look(browser: Browser, serve: Callable[..., Server]) -> Iterator[Callable[..., Looking]]:
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
