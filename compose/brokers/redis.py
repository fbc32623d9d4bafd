"""Redis from the Debian package. Its append-only file keeps what was acknowledged a second before a kill -9."""

from __future__ import annotations

import socket

from brokers.place import Place
from brokers.ports import HOST
from brokers.process import Process, spawn
from brokers.software import need

__all__ = ["Redis"]


class Redis:
    name = "redis"
    port_variable = "MQTRACE_REDIS_PORT"
    usual_port = 19379

    def exports(self, port: int, place: Place) -> dict[str, str]:
        return {"REDIS_URL": f"redis://{HOST}:{port}/0"}

    def prepare(self) -> None:
        need("redis-server", "redis-server")

    def start(self, place: Place, port: int) -> list[Process]:
        data = place.folder / "data"
        data.mkdir(exist_ok=True)
        command = [need("redis-server", "redis-server"), "--bind", HOST, "--port", str(port), "--dir", str(data)]
        command += ["--appendonly", "yes", "--save", "", "--daemonize", "no"]
        return [spawn(command, log=place.log, cwd=place.folder)]

    def answers(self, port: int) -> bool:
        """Whether it serves: while it reads its file it says LOADING instead."""
        try:
            with socket.create_connection((HOST, port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
