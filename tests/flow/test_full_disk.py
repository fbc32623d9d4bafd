"""A disk that is full: files that may grow no further, and a small file system, where we may mount one."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from mqtrace.flow import Scope
from mqtrace.flow.remote import RemoteSource

from .encoded import payload, write_framed
from .spans import S, span

COMMAND = [sys.executable, "-m", "mqtrace.cli"]
SPANS = 40_000


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of spans that take some megabytes; its address."""
    chance = random.Random(3)
    begin = time.time_ns() - 1800 * S
    made = [
        payload(
            span("step", "server", begin + (turn * 500 + n) * 10**7, id=f"{chance.getrandbits(63) + 1:016x}",
                 trace=f"{chance.getrandbits(127) + 1:032x}", body=chance.randbytes(60).hex())
            for n in range(500)
        )
        for turn in range(SPANS // 500)
    ]  # fmt: skip
    return write_framed(tmp_path_factory.mktemp("spans") / "spans.pb", made)


def limited(most: int) -> Callable[[], None]:
    """Files of the child grow no further than that."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@pytest.fixture
def page() -> Iterator[Callable[..., tuple[subprocess.Popen[str], RemoteSource]]]:
    """``page(source, db, **options)``: `mqtrace ui` as a process, and its page as a source."""
    running: list[subprocess.Popen[str]] = []

    def start(source: str, db: Path, **options: Any) -> tuple[subprocess.Popen[str], RemoteSource]:
        command = [*COMMAND, "ui", source, "--db", str(db), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        running.append(process)
        assert process.stdout is not None
        return process, RemoteSource(process.stdout.readline().strip())

    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err


def until(source: RemoteSource, reached: Callable[[Any], bool]) -> Any:
    ends = time.monotonic() + 90
    while not reached(state := source.state()):
        assert time.monotonic() < ends, state
        time.sleep(0.1)
    return state


@pytest.mark.timeout(240)
def test_the_page_says_it_and_when_there_is_room_every_span_is_there_once(
    spans: str, tmp_path: Path, page: Callable[..., Any]
) -> None:
    process, source = page(spans, tmp_path / "spans.duckdb", preexec_fn=limited(3_000_000))
    state = until(source, lambda state: state["trouble"] is not None)
    assert "the disk is full: make room; reading goes on from here when there is some" in state["trouble"]
    assert state["spans"] < SPANS
    assert source.traces(Scope(), limit=1) or not state["spans"], "what is there can be asked"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(source, lambda state: state["spans"] == SPANS)
    assert until(source, lambda state: state["trouble"] is None)["behind"] == 0
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    with duckdb.connect(str(tmp_path / "spans.duckdb")) as con:
        assert con.execute("SELECT count(*), count(DISTINCT span) FROM span").fetchone() == (SPANS, SPANS)


@pytest.mark.timeout(240)
def test_a_small_file_system_that_is_full_is_said_too(spans: str, tmp_path: Path, page: Callable[..., Any]) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may mount nothing")
    try:
        _, source = page(spans, place / "spans.duckdb")
        state = until(source, lambda state: state["trouble"] is not None)
        assert "the disk is full" in state["trouble"]
        subprocess.run(["mount", "-o", "remount,size=200m", str(place)], check=True)
        until(source, lambda state: state["spans"] == SPANS and state["trouble"] is None)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_question_to_a_file_is_one_sentence_and_2(spans: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "flow", spans], capture_output=True, text=True, timeout=100, check=False,
        preexec_fn=limited(3_000_000),
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert "the disk is full" in done.stderr
    assert len(done.stderr.splitlines()) == 1
