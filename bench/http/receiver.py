"""A receiver that takes everything: ``python -m bench.http.receiver`` prints its port, and counts when its input ends.

What it prints last is JSON: requests, and the spans in them if it is asked to ``--count`` them.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bodies: list[bytes] = []  # noqa: RUF012  # of the one receiver of this process
    requests = 0
    keep = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).requests += 1
        if self.keep:
            self.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


def count_spans(payload: bytes) -> int:
    """The spans of a TracesData, by protobuf, which reads hundreds of thousands in a second or two."""
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    data = TracesData.FromString(payload)
    return sum(len(scope.spans) for resource in data.resource_spans for scope in resource.scope_spans)


def main() -> None:
    """Receive until the input ends."""
    _Handler.keep = "--count" in sys.argv
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    spans = sum(count_spans(gzip.decompress(body)) for body in _Handler.bodies)
    print(json.dumps({"requests": _Handler.requests, "spans": spans}), flush=True)


@contextmanager
def receiving(*arguments: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Its URL, and after the block what it received."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.http.receiver", *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    received: dict[str, int] = {}
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", received
    finally:
        received.update(json.loads(process.communicate(timeout=300)[0].splitlines()[-1]))


if __name__ == "__main__":
    main()
