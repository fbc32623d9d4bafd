"""A server of made-up answers, asked directly and over a port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from mqtrace.flow import Source
from mqtrace.flow.fake import Fake
from mqtrace.flow.page import application


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
