"""One kept-alive connection to a receiver, on http.client, within deadlines.

Facts that the design follows from:

- http.client bounds each read of the socket and not the whole answer: a receiver that sends a byte now and then would
  hold the worker for ever. So the answer is read through :class:`_Stream`, which knows when to stop.
- The receiver may have closed a connection that was idle. A request that fails on one before a byte of the answer came
  is sent once more at once, on a new connection (RFC 9112, 9.3.1: a client may do so when a connection was closed).
- The answer on a gRPC port begins with an HTTP/2 frame, ``00 00 18 04``, and may then never go on.
- A child after a fork must not use the parent's connection: both would write into one TLS session.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib import request as urllib_request

from .http_target import HttpTarget, proxy_of

__all__ = ["Answer", "Connection", "Interrupted", "NotHttp"]

#: Bytes of an answer's body that are read at most; a longer one ends the connection.
_MOST_READ: Final = 65536
# How often a wait looks whether it was interrupted.
_LOOK_S: Final = 0.05
_LEAST_S: Final = 0.001


#: The rules of no_proxy; the type stubs lack it.
_bypasses: Final[Callable[[str, Mapping[str, str]], bool]] = urllib_request.proxy_bypass_environment  # type: ignore[attr-defined]  # see above


class NotHttp(http.client.HTTPException):
    """The receiver does not speak HTTP/1."""

    def __init__(self, *, is_grpc: bool) -> None:
        super().__init__("the answer is not HTTP")
        self.is_grpc = is_grpc


class Interrupted(Exception):
    """The exporter is shut down before the answer came."""


@dataclass(frozen=True)
class Answer:
    """What a receiver answered. ``headers``: their names in any case; a dict of them would cost 20 us a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Connection:
    """A connection to ``target``, opened at the first request. Used from one thread, :meth:`interrupt` excepted."""

    def __init__(self, target: HttpTarget, headers: Mapping[str, str]) -> None:
        self._target = target
        self._headers = headers
        self._connection: http.client.HTTPConnection | None = None
        #: Host and port of the proxy that the environment names; None without one, and before the first request.
        self.proxy: str | None = None
        self._context: ssl.SSLContext | None = None
        # A request up to its length: http.client would check and join the same few headers for every one, 30 us.
        self._head = b""
        #: A reading of time.monotonic at which every wait ends, whatever its own deadline is.
        self._stop_at = float("inf")

    def interrupt(self, at: float) -> None:
        """End every wait at ``at``, a reading of time.monotonic. Called from any thread."""
        self._stop_at = min(self._stop_at, at)

    def post(self, body: bytes, deadline: float) -> Answer:
        """Send a request and read its answer until ``deadline``, a reading of time.monotonic.

        Raises OSError (TimeoutError, ssl.SSLError), http.client.HTTPException, or Interrupted. Never repeats a request
        whose answer had begun.
        """
        was_open = self._connection is not None and self._connection.sock is not None
        stream = _Stream(deadline, self._must_stop)
        try:
            return self._exchange(body, stream)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not was_open or stream.has_begun or isinstance(error, TimeoutError):
                raise
        except BaseException:
            self.close()
            raise
        try:
            return self._exchange(body, _Stream(deadline, self._must_stop))
        except BaseException:
            self.close()
            raise

    def _must_stop(self) -> bool:
        return time.monotonic() >= self._stop_at

    def _exchange(self, body: bytes, stream: _Stream) -> Answer:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        connection.response_class = stream.response  # type: ignore[assignment]  # called like the class
        if connection.sock is None:  # it is new, or the answer before said that it would be closed
            connection.timeout = stream.remaining_s()
            connection.connect()
        sock: Any = connection.sock  # open by now
        sock.settimeout(stream.remaining_s())
        sock.sendall(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        with stream.response(sock, method="POST") as response:
            response.begin()
            if stream.has_ended:  # http.client takes what has come by then for all of the headers
                raise http.client.IncompleteRead(b"")
            content = response.read(_MOST_READ + 1)
            if stream.has_ended and response.length:  # bytes that were announced and did not come
                raise http.client.IncompleteRead(content, response.length)
            if len(content) > _MOST_READ or not response.isclosed() or response.will_close:
                self.close()  # or its rest would be read as the next answer
            return Answer(response.status, response.headers, content)

    def _open(self) -> http.client.HTTPConnection:
        target = self._target
        proxies = urllib_request.getproxies_environment()
        proxy_url = proxies.get(target.scheme) or proxies.get("all")
        if proxy_url and _bypasses(f"{target.host}:{target.port}", proxies):
            proxy_url = None
        self._head = self._head_of(target.path)
        host, port, authorization = (target.host, target.port, None) if not proxy_url else proxy_of(proxy_url)
        self.proxy = f"{host}:{port}" if proxy_url else None
        if target.scheme == "https":
            self._context = self._context or target.tls_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, context=self._context)
            if proxy_url:
                connection.set_tunnel(
                    target.host, target.port, {"Proxy-Authorization": authorization} if authorization else {}
                )
            return connection
        if proxy_url:
            more = {"Proxy-Authorization": authorization} if authorization else {}
            self._head = self._head_of(f"http://{target.authority}{target.path}", **more)
        return http.client.HTTPConnection(host, port)

    def _head_of(self, path: str, **more: str) -> bytes:
        """The request line and the headers, which have been checked (http_target.py), up to the number of bytes."""
        ours = {"Host": self._target.authority, "Accept-Encoding": "identity"}
        headers = {name.lower(): f"{name}: {value}" for name, value in {**ours, **self._headers, **more}.items()}
        lines = [f"POST {path} HTTP/1.1", *headers.values(), "Content-Length: "]
        return "\r\n".join(lines).encode("latin-1")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> object:
        """In a forked child: stop using the parent's connection, and send nothing on it. Returns what must be kept."""
        connection, self._connection = self._connection, None
        sock: Any = None if connection is None else connection.sock
        if sock is not None:
            try:
                os.close(sock.detach())  # this process's end of it; the parent's stays open
            except OSError:
                pass  # it is closed already
        return connection


class _Stream:
    """An answer as it comes, until its deadline; stands in for the socket that http.client reads from."""

    def __init__(self, deadline: float, must_stop: Callable[[], bool]) -> None:
        self._deadline = deadline
        self._must_stop = must_stop
        self._socket: socket.socket | None = None
        #: Whether a byte has come.
        self.has_begun = False
        #: Whether the receiver has closed the connection.
        self.has_ended = False

    def response(self, sock: socket.socket, *arguments: Any, **options: Any) -> http.client.HTTPResponse:
        """The response on ``sock``, which reads through this stream."""
        self._socket = sock
        return http.client.HTTPResponse(self, *arguments, **options)  # type: ignore[arg-type]  # makefile is all it uses

    def makefile(self, mode: str) -> io.BufferedReader:
        """The method of a socket that http.client calls."""
        return io.BufferedReader(_Raw(self))

    def remaining_s(self) -> float:
        """Seconds until the deadline; TimeoutError after it."""
        if self._must_stop():
            raise Interrupted
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        return max(_LEAST_S, remaining)

    def read_into(self, buffer: Any) -> int:
        """Read the bytes that have come; 0 if the connection was closed."""
        assert self._socket is not None, "http.client makes the response before it reads"
        while True:
            self._socket.settimeout(min(_LOOK_S, self.remaining_s()))
            try:
                count = self._socket.recv_into(buffer)
            except TimeoutError:
                continue
            self.has_ended = not count
            if count and not self.has_begun:
                self.has_begun = True
                start = bytes(buffer[: min(count, 5)])
                if not b"HTTP/".startswith(start):
                    raise NotHttp(is_grpc=start[:2] == b"\0\0" and start[3:4] in (b"", b"\x04"))
            return count


class _Raw(io.RawIOBase):
    """One response's view of the stream: http.client closes it, and the connection goes on."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See _Stream."""
        return self._stream.read_into(buffer)
