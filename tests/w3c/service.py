"""The service that the W3C's test suite wants: it calls the URLs that it is told, in the trace of the request.

https://github.com/w3c/trace-context/blob/main/test/README.md, "Implement Test Service". A request's body is a JSON
array of ``{"url": ..., "arguments": ...}``; each URL is sent its arguments.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mqtrace

__all__ = ["running"]


@contextmanager
def running(tracer: mqtrace.Tracer) -> Iterator[str]:
    """The service's URL, while it runs."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with tracer.start_span("POST", kind="server", parent=tracer.extract(self.headers)):
                for call in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
                    with tracer.start_span("call", kind="client"):
                        headers = {"Content-Type": "application/json"}
                        tracer.inject(headers)
                        body = json.dumps(call["arguments"]).encode()
                        urllib.request.urlopen(urllib.request.Request(call["url"], body, headers), timeout=5).close()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/test"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
