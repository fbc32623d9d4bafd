"""``mqtrace ui``: the application on an address, until it is interrupted."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Final

import uvicorn

from mqtrace.flow import AskError, Source

from .application import application
from .door import is_loopback, names_of

__all__ = ["serve"]

#: An open page follows the state over a connection that has no end of its own.
_GOODBYE_S: Final = 1


def serve(
    source: Source,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    started: Callable[[str], None] = print,
    token: str | None = None,
) -> None:
    """Serve the page until SIGINT (KeyboardInterrupt goes on to the caller) or SIGTERM; the source stays open.

    ``port``: 0 takes a free one. ``started`` is called once it listens, with a line that says the address, and another
    one where others reach it. ``token``: what they have to show then; None makes one. Raises AskError if the
    address cannot be had.
    """
    listener = _listen(host, port)
    with listener:
        port = listener.getsockname()[1]
        is_shared = not is_loopback(host)
        shown = (token or secrets.token_urlsafe(24)) if is_shared else None
        app = application(source, names=names_of(host), token=shown, cookie=f"mqtrace_{port}")
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                ws="none",
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GOODBYE_S,
                h11_max_incomplete_event_size=32_768,
            )
        )
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host
        address = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
        started(address if shown is None else f"{address}?token={shown}")
        if is_shared:
            started(
                "Whoever has this address sees the spans. There is no TLS: on a network that others use, leave --host "
                f"away and forward the port over SSH (ssh -L {port}:127.0.0.1:{port} ...)."
            )
        server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65_535:  # getaddrinfo would take the rest of a division
        raise AskError(f"--port {port} is not a port: write one from 1 to 65535, or 0 for a free one")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as error:
        raise AskError(f"--host {host} --port {port} is not an address of this machine: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise AskError(f"the page cannot listen on {host}:{port}: {reason}; say another --port") from error
    return listener
