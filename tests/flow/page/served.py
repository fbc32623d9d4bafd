"""A source's page on a port of this machine."""

from __future__ import annotations

import asyncio
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from mqtrace.flow import Source
from mqtrace.flow.page import application

__all__ = ["Server", "served"]


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


def served(source: Source, *, port: int = 0, tick_s: float = 0.1) -> Server:
    """The page of a source, which stays open."""
    return Server(application(source, tick_s=tick_s), port)
