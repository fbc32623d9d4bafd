"""RabbitMQ from the Debian package, without the service of the machine and without root.

The programs in /usr/lib/rabbitmq/bin are used because those in /usr/sbin switch user. The node has an epmd of its
own, on a port of its own, so that neither another run nor an Erlang of the machine is met; its node name is the same
at every port, because the data folder belongs to the name. It counts as ready when a guest can open a connection
(AMQP 0-9-1, section 2.2.4), which the open port alone does not say.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from brokers.place import Place
from brokers.ports import HOST, free_port, is_free
from brokers.process import Process, spawn
from brokers.software import need
from brokers.trouble import Trouble

__all__ = ["RabbitMQ"]

_FOLDERS = ("/usr/lib/rabbitmq/bin",)
_PACKAGE = "rabbitmq-server"


class RabbitMQ:
    name = "rabbitmq"
    port_variable = "MQTRACE_RABBITMQ_PORT"
    usual_port = 19672

    def exports(self, port: int, place: Place) -> dict[str, str]:
        return {"RABBITMQ_URL": f"amqp://guest:guest@{HOST}:{port}/"}

    def prepare(self) -> None:
        need("rabbitmq-server", _PACKAGE, folders=_FOLDERS)
        need("epmd", _PACKAGE)

    def start(self, place: Place, port: int) -> list[Process]:
        folder = place.folder
        pid_file = folder / "node.pid"
        pid_file.unlink(missing_ok=True)
        (folder / "enabled_plugins").write_text("[].\n", encoding="ascii")
        (folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 50MB\n", encoding="ascii")
        names = free_port()
        environment = {
            "HOME": str(folder),  # of the Erlang cookie
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": "mqtrace@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_PID_FILE": str(pid_file),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
        }
        # In front, and here: a node that finds no epmd starts one that nobody would ever end.
        epmd = spawn([need("epmd", _PACKAGE)], log=place.log, cwd=folder, environment=environment)
        place.note(port, [epmd])
        _until(lambda: not is_free(names), epmd)
        program = need("rabbitmq-server", _PACKAGE, folders=_FOLDERS)
        script = spawn([program], log=place.log, cwd=folder, environment=environment)
        place.note(port, [epmd, script])
        _until(lambda: pid_file.is_file() and pid_file.read_text().strip().isdecimal(), script)
        node = Process.of(int(pid_file.read_text()))
        # The script only waits for the node. It is left out, and ends with it: it may be gone where the node lives.
        return [epmd, node]

    def answers(self, port: int) -> bool:
        """Whether a guest may open a connection to the virtual host /."""
        try:
            with socket.create_connection((HOST, port), timeout=5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                _expect(connection, 10, 10)  # start
                secret = b"\x00guest\x00guest"
                answer = struct.pack(">i", 0) + b"\x05PLAIN" + struct.pack(">i", len(secret)) + secret + b"\x05en_US"
                _send(connection, 10, 11, answer)  # start-ok
                tune = _expect(connection, 10, 30)
                _send(connection, 10, 31, tune[:8])  # tune-ok: as offered
                _send(connection, 10, 40, b"\x01/\x00\x00")  # open
                _expect(connection, 10, 41)
                _send(connection, 10, 50, b"\x00\xc8\x00\x00\x00\x00\x00")  # close
                _expect(connection, 10, 51)
                return True
        except (OSError, struct.error, ValueError):
            return False


def _until(condition: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if not process.alive or time.monotonic() > deadline:
            raise Trouble("rabbitmq: the node does not start.")
        time.sleep(0.05)


def _send(connection: socket.socket, kind: int, method: int, arguments: bytes) -> None:
    payload = struct.pack(">HH", kind, method) + arguments
    connection.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")


def _expect(connection: socket.socket, kind: int, method: int) -> bytes:
    """The arguments of the method that comes next; ValueError where it is another one."""
    frame, _channel, size = struct.unpack(">BHI", _receive(connection, 7))
    payload = _receive(connection, size + 1)[:-1]
    if frame != 1 or struct.unpack_from(">HH", payload) != (kind, method):
        raise ValueError("another method")
    return payload[4:]


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            raise ConnectionError("closed")
        received += piece
    return received
