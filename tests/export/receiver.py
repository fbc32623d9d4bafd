"""A receiver of spans over HTTP whose answers a test writes byte by byte, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Request:
    """A request as it came. ``connection``: which of the receiver's connections it came by, from 1."""

    connection: int
    line: str
    headers: dict[str, str]
    raw_body: bytes

    @property
    def body(self) -> bytes:
        """Without its compression."""
        return gzip.decompress(self.raw_body) if self.headers.get("content-encoding") == "gzip" else self.raw_body


def response(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer; ``content_type="text/plain"`` is the header Content-Type."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass
class Receiver:
    """``answer(request)`` returns the bytes to send; None closes the connection without one."""

    answer: Callable[[Request], bytes | None] = lambda request: response()
    context: ssl.SSLContext | None = None
    #: Sent before a request is read, as a server of another protocol does.
    greeting: bytes = b""
    #: Whether it closes the connection after each answer.
    closes: bool = False
    #: What listens, if it is to be at a port that the test knows.
    server: socket.socket | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._server = self.server or socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def close(self) -> None:
        self._server.close()
        self.drop()

    def drop(self) -> None:
        """Close every connection, as a server does with idle ones."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            self._open.append(sock)
            sock.sendall(self.greeting)
            stream = sock.makefile("rb")
            while line := stream.readline():
                headers = {}
                while (header := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                request = Request(number, line.decode("latin-1").strip(), headers, body)
                self.requests.append(request)
                answer = self.answer(request)
                if answer is None:
                    break
                sock.sendall(answer)
                if self.closes:
                    break
        with contextlib.suppress(OSError):
            sock.close()
