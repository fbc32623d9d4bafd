"""The server as `mqtrace ui` starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from mqtrace.flow import AskError
from mqtrace.flow.fake import Fake
from mqtrace.flow.page import serve

_PROGRAM = """
import sys
from mqtrace.flow.fake import Fake
from mqtrace.flow.page import serve
serve(Fake(), host=sys.argv[1], port=0, started=lambda line: print(line, flush=True))
"""

Processes = list[subprocess.Popen[str]]


@pytest.fixture
def started() -> Iterator[Processes]:
    processes: Processes = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate(timeout=10)


def _start(processes: Processes, host: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, host], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    processes.append(process)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_it_says_its_address_and_answers_there(started: Processes) -> None:
    _, address = _start(started, "127.0.0.1")
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}api/state", timeout=10) as told:
        assert told.status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_while_a_page_is_open(started: Processes, number: signal.Signals) -> None:
    process, address = _start(started, "127.0.0.1")
    with urllib.request.urlopen(f"{address}api/live", timeout=10) as live:
        assert live.readline()
        began = time.monotonic()
        os.kill(process.pid, number)
        process.wait(10)
    assert time.monotonic() - began < 4


def test_elsewhere_it_wants_a_token_and_says_that_there_is_no_tls(started: Processes) -> None:
    process, address = _start(started, "0.0.0.0")
    assert process.stdout is not None
    assert "There is no TLS" in process.stdout.readline()
    front, _, token = address.partition("/?token=")
    assert len(token) >= 32
    local = f"http://127.0.0.1:{front.rpartition(':')[2]}"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{local}/api/state", timeout=10)
    with urllib.request.urlopen(f"{local}/api/state?token={token}", timeout=10) as told:
        assert told.status == 200


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AskError, match=rf"cannot listen on 127.0.0.1:{port}: .*another --port"):
            serve(Fake(), port=port)


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 8765), ("127.0.0.1", 70_000), ("192.0.2.1", 0)])
def test_an_address_that_cannot_be_had_is_one_sentence(host: str, port: int) -> None:
    with pytest.raises(AskError, match="--port"):
        serve(Fake(), host=host, port=port)
