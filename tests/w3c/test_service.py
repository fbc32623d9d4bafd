"""``make w3c`` runs the W3C's suite; this holds the service that it calls, and what is said without the suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

#: Does what the W3C's harness does once: sends a request that wants two calls, and fails where they are not right.
HARNESS = """
import http.server, json, sys, threading, urllib.request
seen = []
class Callback(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen.append((self.path, body, self.headers["traceparent"], self.headers["tracestate"]))
        self.send_response(200); self.end_headers()
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Callback)
threading.Thread(target=server.serve_forever, daemon=True).start()
calls = [{"url": f"http://127.0.0.1:{server.server_port}/%d" % number, "arguments": [number]} for number in (1, 2)]
request = urllib.request.Request(sys.argv[1], json.dumps(calls).encode(), {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "foo=1"})
assert urllib.request.urlopen(request, timeout=5).status == 200
assert [path for path, *_ in seen] == ["/1", "/2"] and [body for _, body, *_ in seen] == [[1], [2]], seen
for _, _, context, _ in seen:
    assert context.startswith("00-0af7651916cd43dd8448eb211c80319c-") and context.endswith("-01"), context
assert len({context for *_, context, _ in seen}) == 2 and {state for *_, state in seen} == {"foo=1"}, seen
print(sys.argv[2:])
"""


def suite(checkout: str, *patterns: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.w3c", *patterns],
        cwd=ROOT,
        env={**os.environ, "W3C_TRACE_CONTEXT": checkout},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_every_call_is_made_in_the_trace_of_the_request(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test.py").write_text(HARNESS)
    done = suite(str(tmp_path), "AdvancedTest")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['AdvancedTest']"


def test_what_the_harness_says_is_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test.py").write_text("raise SystemExit(3)")
    assert suite(str(tmp_path)).returncode == 3


@pytest.mark.parametrize("checkout", ["", "/nowhere"])
def test_without_the_suite_a_sentence_says_where_it_is(checkout: str) -> None:
    done = suite(checkout)
    assert done.returncode == 2
    assert "W3C_TRACE_CONTEXT to a checkout of https://github.com/w3c/trace-context" in done.stderr


@pytest.mark.skipif(not os.environ.get("W3C_TRACE_CONTEXT"), reason="W3C_TRACE_CONTEXT names no checkout of the suite")
def test_the_whole_suite_passes() -> None:
    done = suite(os.environ["W3C_TRACE_CONTEXT"])
    assert done.returncode == 0, done.stderr[-3000:]
