"""SIGTERM: spans leave where the application has no handler, and the process ends as it would without us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mqtrace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent here")

BEGINNING = """
import ctypes, logging, os, signal, sys, threading, time
import mqtrace, mqtrace.export

def ready():
    print("ready", flush=True)

def begin(exporter="file://" + sys.argv[1]):
    global tracer
    tracer = mqtrace.configure("shop", exporter=exporter)

def end(name, count=1000):
    for _ in range(count):
        tracer.start_span(name).end()

class Hanging:
    def export(self, spans): time.sleep(60)
    def shutdown(self, timeout): time.sleep(60)
"""

Run = Callable[..., tuple[int, int, float]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(program)``: its status after a SIGTERM, how many spans were written, and how long it took."""

    def run(program: str, *prefix: str, signals: int = 1, **environment: str) -> tuple[int, int, float]:
        path = tmp_path / "spans.jsonl"
        command = [*prefix, sys.executable, "-c", BEGINNING + textwrap.dedent(program), str(path)]
        long = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2000"}
        pipe, variables = subprocess.PIPE, {**os.environ, **long, **environment}
        child = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=variables)
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", child.communicate(timeout=10)[1]
            # Until it sleeps: a handler of Python's that is called just before a system call comes after it.
            time.sleep(0.3)
            began = time.monotonic()
            for _ in range(signals):
                child.terminate()
                time.sleep(0.1 if signals > 1 else 0)
            child.communicate(timeout=20)
            took = time.monotonic() - began
        finally:
            child.kill()
            child.wait()
        lines = path.read_text().splitlines() if path.exists() else []
        return child.returncode, sum(_count(line) for line in lines), took

    return run


def _count(line: str) -> int:
    return sum(len(scope["spans"]) for each in json.loads(line)["resourceSpans"] for scope in each["scopeSpans"])


def test_what_is_queued_leaves_and_the_status_is_what_it_was(run: Run) -> None:
    status, count, took = run("begin(); end('a'); ready(); time.sleep(60)")
    assert (status, count) == (-signal.SIGTERM, 1000)
    assert took < 10


def test_a_span_that_is_open_leaves_too(run: Run) -> None:
    assert run("begin()\nwith tracer.start_span('open'): ready(); time.sleep(60)")[:2] == (-signal.SIGTERM, 1)


def test_it_may_be_turned_off(run: Run) -> None:
    assert run("begin(); end('a'); ready(); time.sleep(60)", MQTRACE_SIGTERM="off")[:2] == (-signal.SIGTERM, 0)


def test_an_exporter_that_hangs_keeps_it_for_the_exit_timeout_and_no_longer(run: Run) -> None:
    program = "begin(Hanging()); end('a'); mqtrace.flush(0.1); ready(); time.sleep(60)"
    status, _, took = run(program, MQTRACE_EXIT_TIMEOUT="1000")
    assert status == -signal.SIGTERM
    assert 0.9 < took < 10


def test_a_second_signal_does_not_cut_the_first_one_short(run: Run) -> None:
    program = """
    from mqtrace.export import from_url
    class Slow:
        def __init__(self): self.file = from_url("file://" + sys.argv[1])
        def export(self, spans): time.sleep(1); self.file.export(spans)
        def shutdown(self, timeout): pass
    begin(Slow()); end('a'); ready(); time.sleep(60)
    """
    assert run(program, signals=3, MQTRACE_EXIT_TIMEOUT="15000")[:2] == (-signal.SIGTERM, 1000)


@pytest.mark.parametrize("before", [True, False])
def test_a_handler_of_the_applications_stays_the_one(run: Run, before: bool) -> None:
    install = "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))"
    steps = [install, "begin()"] if before else ["begin()", install]
    assert run("; ".join([*steps, "end('a'); ready(); time.sleep(60)"]))[:2] == (7, 0)


def test_a_handler_that_only_the_system_knows_stays_too(run: Run) -> None:
    """A server that embeds Python has its own, of which Python's signal module does not know."""
    program = """
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: os._exit(7))
    ctypes.CDLL(None).signal(signal.SIGTERM, handler)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    begin(); end('a'); ready(); time.sleep(60)
    """
    assert run(program)[:2] == (7, 0)


def test_a_signal_within_a_lock_of_ours_waits_until_it_is_free(run: Run) -> None:
    program = """
    begin(); end('a')
    def interrupted():
        with tracer.processor.sink.lock:
            ready()
            ends = time.monotonic() + 1
            while time.monotonic() < ends: pass
    interrupted()
    time.sleep(60)
    """
    assert run(program, MQTRACE_EXIT_TIMEOUT="15000")[:2] == (-signal.SIGTERM, 1000)


@pytest.mark.parametrize("lock", ["logging._lock", "threading._active_limbo_lock", "threading.Lock()"])
def test_a_signal_within_any_other_lock_ends_the_process_in_time(run: Run, lock: str) -> None:
    status, _, took = run(f"begin(); end('a')\nwith {lock}: ready(); time.sleep(60)")
    assert status == -signal.SIGTERM
    assert took < 10


def test_a_forked_child_ends_with_its_own_spans(run: Run) -> None:
    program = """
    begin(); end('parent', 10); mqtrace.flush(5)
    child = os.fork()
    if child == 0:
        end('child', 30); os.write(1, b''); time.sleep(60)
    time.sleep(1)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    ready(); time.sleep(60)
    """
    assert run(program)[:2] == (-signal.SIGTERM, 40)


def test_a_child_of_multiprocessing_that_is_terminated_too(run: Run) -> None:
    program = """
    import multiprocessing
    def work():
        end('child', 30)
        time.sleep(60)
    begin()
    child = multiprocessing.get_context('fork').Process(target=work)
    child.start(); time.sleep(1); child.terminate(); child.join(10)
    assert child.exitcode == -signal.SIGTERM
    ready(); time.sleep(60)
    """
    assert run(program)[:2] == (-signal.SIGTERM, 30)


def test_the_first_process_of_a_container_goes_on_as_without_us(run: Run) -> None:
    """The system sends it no signal that it has no handler for. Its spans leave all the same, and later ones too."""
    unshare = ["unshare", "--fork", "--pid", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("this user may make no process namespace")
    program = """
    assert os.getpid() == 1
    begin(); end('before')
    os.kill(1, signal.SIGTERM)
    time.sleep(0.2)
    assert mqtrace.stats()['spans_exported'] == 1000
    end('after'); os.kill(1, signal.SIGTERM); time.sleep(0.2)
    assert mqtrace.stats()['spans_exported'] == 2000
    ready(); os._exit(3)
    """
    # the signal is for the shell around it, which is gone by then
    assert run(program, *unshare)[1] == 2000


def test_shutdown_puts_back_what_was_there() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert before is signal.SIG_DFL
    first = mqtrace.Tracer("first", exporter="memory:")
    second = mqtrace.Tracer("second", exporter="memory:")
    assert signal.getsignal(signal.SIGTERM) is not before
    first.shutdown()
    assert signal.getsignal(signal.SIGTERM) is not before
    second.shutdown()
    assert signal.getsignal(signal.SIGTERM) is before


def test_shutdown_leaves_what_somebody_put_over_ours() -> None:
    before = signal.getsignal(signal.SIGTERM)
    tracer = mqtrace.Tracer("shop", exporter="memory:")

    def theirs(*_: object) -> None: ...

    signal.signal(signal.SIGTERM, theirs)
    try:
        tracer.shutdown()
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)


def test_nothing_is_taken_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    made: list[mqtrace.Tracer] = []
    thread = threading.Thread(target=lambda: made.append(mqtrace.Tracer("shop", exporter="memory:")))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    made[0].shutdown()


@pytest.mark.parametrize("how", ["app", "run"])
def test_uvicorn(run: Run, how: str) -> None:
    """It puts back the handler that it found, and sends the signal once more."""
    pytest.importorskip("uvicorn")
    program = f"""
    import types, uvicorn
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive(); await send({{"type": "lifespan.startup.complete"}})
            end('a'); ready()
            await receive(); await send({{"type": "lifespan.shutdown.complete"}})
    class Lazily(types.ModuleType):
        def __getattr__(self, name):
            if name != "app": raise AttributeError(name)
            begin()
            return app
    if {how == "app"}:
        sys.modules["lazily"] = Lazily("lazily")
        sys.argv[1:] = ["lazily:app", "--port", "0", "--log-level", "critical"]
        from uvicorn.main import main
        main()
    else:
        begin()
        uvicorn.run(app, port=0, log_level="critical")
    """
    if how == "app":
        program = program.replace("begin()\n            return", "begin('file://' + PATH)\n            return").replace(
            "import types, uvicorn", "import types, uvicorn\n    PATH = sys.argv[1]"
        )
    assert run(program)[:2] == (-signal.SIGTERM, 1000)
