"""uWSGI without ``lazy-apps``: the application is loaded once, and the workers are forked in C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

UWSGI = shutil.which("uwsgi", path=os.path.dirname(sys.executable)) or shutil.which("uwsgi")
pytestmark = pytest.mark.skipif(UWSGI is None, reason="uwsgi is not installed")

APPLICATION = """
import os, time, mqtrace
tracer = mqtrace.configure("shop", exporter="file://" + os.environ["SPANS"])
for _ in range(5):
    tracer.start_span("in the master").end()
def application(environ, start_response):
    with tracer.start_span("GET") as span:
        time.sleep(0.02)
    start_response("200 OK", [])
    return [span.trace_id.encode()]
"""


def answer(port: int, server: subprocess.Popen[bytes]) -> str:
    ends = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as said:
                return str(said.read().decode())
        except OSError:
            assert server.poll() is None, "uwsgi ended"
            assert time.monotonic() < ends, "uwsgi does not answer"
            time.sleep(0.05)


def test_its_workers_share_no_trace_and_lose_no_span_at_their_end(tmp_path: Path) -> None:
    assert UWSGI is not None
    (tmp_path / "application.py").write_text(APPLICATION)
    spans = tmp_path / "spans.jsonl"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [UWSGI, "--http", f"127.0.0.1:{port}", "--master", "--workers", "3", "--module", "application"]
    command += ["--enable-threads", "--chdir", str(tmp_path), "--need-app", "--die-on-term"]
    if sys.prefix != sys.base_prefix:
        command += ["--home", sys.prefix]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "SPANS": str(spans)}, start_new_session=True
        )
        try:
            ids = [answer(port, server) for _ in range(12)]
            server.send_signal(signal.SIGTERM)
            server.wait(15)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
    assert len(set(ids)) == 12
    made = [
        span["traceId"]
        for line in spans.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["name"] == "GET"
    ]
    assert sorted(made) == sorted(ids)
