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
from pathlib import Path
import mqtrace, mqtrace.export

def ready():
    print("ready", flush=True)

def until_it_sleeps(pid):
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S": time.sleep(0.02)
    time.sleep(0.1)

def hold(lock, until):
    with lock:
        ready()
        while not until(): pass

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
        # A machine under load is slow; how long the end may take is what some tests say themselves.
        long["MQTRACE_EXIT_TIMEOUT"] = "60000"
        pipe, variables = subprocess.PIPE, {**os.environ, **long, **environment}
        child = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=variables)
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", child.communicate(timeout=10)[1]
            _until_it_sleeps(child.pid)
            began = time.monotonic()
            for _ in range(signals):
                child.terminate()
                time.sleep(0.1 if signals > 1 else 0)
            child.communicate(timeout=100)
            took = time.monotonic() - began
        finally:
            child.kill()
            child.wait()
        lines = path.read_text().splitlines() if path.exists() else []
        return child.returncode, sum(_count(line) for line in lines), took

    return run


def _until_it_sleeps(pid: int) -> None:
    """A handler of Python's that is called just before a system call comes after it. One that is busy has none."""
    until = time.monotonic() + (0.3 if not Path("/proc/self/stat").exists() else 1.0)
    asleep = 0
    while asleep < 5 and time.monotonic() < until:
        time.sleep(0.02)
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        asleep = asleep + 1 if state == "S" else 0


def _count(line: str) -> int:
    return sum(len(scope["spans"]) for each in json.loads(line)["resourceSpans"] for scope in each["scopeSpans"])


def test_what_is_queued_leaves_and_the_status_is_what_it_was(run: Run) -> None:
    status, count, took = run("begin(); end('a'); ready(); time.sleep(90)")
    assert (status, count) == (-signal.SIGTERM, 1000)
    assert took < 50, "it waits for the spans and no longer"


def test_a_span_that_is_open_leaves_too(run: Run) -> None:
    assert run("begin()\nwith tracer.start_span('open'): ready(); time.sleep(60)")[:2] == (-signal.SIGTERM, 1)


def test_it_may_be_turned_off(run: Run) -> None:
    assert run("begin(); end('a'); ready(); time.sleep(60)", MQTRACE_SIGTERM="off")[:2] == (-signal.SIGTERM, 0)


def test_an_exporter_that_hangs_keeps_it_for_the_exit_timeout_and_no_longer(run: Run) -> None:
    program = "begin(Hanging()); end('a'); mqtrace.flush(0.1); ready(); time.sleep(60)"
    status, _, took = run(program, MQTRACE_EXIT_TIMEOUT="1000")
    assert status == -signal.SIGTERM
    assert 0.9 < took < 20, "sixty seconds are what the exporter wants"


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
    sent = []
    kill = os.kill
    os.kill = lambda *arguments: (sent.append(1), kill(*arguments))
    begin(); end('a')
    hold(tracer.processor.sink.lock, until=lambda: len(sent) > 3)  # it was found held so often
    time.sleep(60)
    """
    assert run(program, MQTRACE_EXIT_TIMEOUT="60000")[:2] == (-signal.SIGTERM, 1000)


def test_a_signal_that_is_sent_again_just_before_a_system_call_is_not_lost(run: Run) -> None:
    """Python would see it when the call returns."""
    program = """
    lost = []
    kill = os.kill
    os.kill = lambda *arguments: kill(*arguments) if lost else lost.append(1)
    begin(); end('a')
    hold(tracer.processor.sink.lock, until=lambda: lost)
    time.sleep(60)
    """
    assert run(program, MQTRACE_EXIT_TIMEOUT="60000")[:2] == (-signal.SIGTERM, 1000)


@pytest.mark.parametrize("lock", ["logging._lock", "threading._active_limbo_lock", "threading.Lock()"])
def test_a_signal_within_any_other_lock_ends_the_process_in_time(run: Run, lock: str) -> None:
    program = f"begin(); end('a')\nwith {lock}: ready(); time.sleep(60)"
    status, _, took = run(program, MQTRACE_EXIT_TIMEOUT="2000")
    assert status == -signal.SIGTERM
    assert took < 40


def test_a_forked_child_ends_with_its_own_spans(run: Run) -> None:
    program = """
    begin(); end('parent', 10); mqtrace.flush(30)
    done, tell = os.pipe()
    child = os.fork()
    if child == 0:
        end('child', 30); os.write(tell, b'.'); time.sleep(60)
    os.read(done, 1); until_it_sleeps(child)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    ready(); time.sleep(60)
    """
    assert run(program)[:2] == (-signal.SIGTERM, 40)


def test_a_child_of_multiprocessing_that_is_terminated_too(run: Run) -> None:
    program = """
    import multiprocessing
    done, tell = os.pipe()
    def work():
        end('child', 30); os.write(tell, b'.')
        time.sleep(60)
    begin()
    child = multiprocessing.get_context('fork').Process(target=work)
    child.start(); os.read(done, 1); until_it_sleeps(child.pid); child.terminate(); child.join(60)
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
    assert mqtrace.stats()['spans_exported'] == 1000
    end('after'); os.kill(1, signal.SIGTERM)
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
