"""Ports on 127.0.0.1: which are free, and when one becomes so."""

from __future__ import annotations

import errno
import os
import socket
import time

from brokers.trouble import Trouble

__all__ = ["free_port", "is_free", "wanted_port"]

HOST = "127.0.0.1"


def is_free(port: int, patience: float = 0.0) -> bool:
    """Whether a server could listen on the port within ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while True:
        with socket.socket() as probe:
            # As the servers do: a connection in TIME_WAIT is no obstacle, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wanted_port(variable: str) -> int | None:
    """The port that an environment variable asks for: 0 is any free one, None is no wish."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) > 65535:
        raise Trouble(f"{variable}={text!r} is not a port: write a number up to 65535, or 0 for any free one.")
    return int(text)
