"""A server of made-up answers, asked directly and over a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from mqtrace.flow import Source
from mqtrace.flow.fake import Fake
from mqtrace.flow.page import application

from .served import Server, served


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
        server = served(source, port=port, tick_s=tick_s)
        running.append(server)
        return server

    yield start
    for server in running:
        server.close()
