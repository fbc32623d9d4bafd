"""Forks, children of multiprocessing, and the ends of processes: each in a process of its own, onto one file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., Counter[str]]

_BEGINNING = """
import multiprocessing, os, sys, time, threading, signal
from mqtrace import core
from mqtrace.export import BatchProcessor, from_url

class Everything:
    threshold, state, follows = b"0" * 14, None, True

def make(exporter, **options):
    if isinstance(exporter, str):
        exporter = from_url(exporter)
    processor = BatchProcessor(exporter, clock=core.Clock(), **options)
    limits, counters = core.Limits(), core.Counters()
    pipeline = core.Pipeline("shop", {}, processor.sink, clock=core.Clock(), limits=limits, counters=counters)
    return processor, pipeline

def end(name, count=1):
    template = core.Template(pipeline, name, "internal", {}, sampling=Everything())
    for _ in range(count):
        core.start(template, None, core.Span).end()

processor, pipeline = make(sys.argv[1])
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(program)``: how often a span of each name is in the file when the program has ended by itself."""

    def run(program: str, *, ends: int = 0, seconds: float = 30.0, stop: bool = False) -> Counter[str]:
        script = tmp_path / "program.py"
        script.write_text(_BEGINNING + textwrap.dedent(program))
        path = tmp_path / "spans.jsonl"
        child = subprocess.Popen([sys.executable, str(script), f"file://{path}"], stderr=subprocess.PIPE, text=True)
        try:
            if stop:
                assert child.stderr is not None
                assert child.stderr.readline() == "ready\n"
                child.send_signal(signal.SIGINT)
            errors = child.communicate(timeout=seconds)[1]
        finally:
            child.kill()
            child.wait()
        assert child.returncode == ends, errors
        names: Counter[str] = Counter()
        for line in path.read_text().splitlines() if path.exists() else ():
            for resource in json.loads(line)["resourceSpans"]:
                names.update(span["name"] for scope in resource["scopeSpans"] for span in scope["spans"])
        return names

    return run


def test_the_end_of_the_process_sends_what_is_queued(run: Run) -> None:
    assert run("end('last', 250)") == {"last": 250}


def test_an_exception_that_ends_the_process_too(run: Run) -> None:
    assert run("end('last', 5); raise SystemExit(3)", ends=3) == {"last": 5}


def test_control_c_too(run: Run) -> None:
    # a signal between the last look at signals and the sleep is heard of when the sleep is over: sleep often
    program = """
    end('last', 5)
    print('ready', file=sys.stderr, flush=True)
    for _ in range(300):
        time.sleep(0.1)
    """
    assert run(program, ends=-signal.SIGINT, stop=True) == {"last": 5}


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


@forks
def test_a_forked_child_sends_its_own_spans_and_not_its_parents(run: Run) -> None:
    """FAULTS 15."""
    program = """
    end("parent", 50)
    if os.fork() == 0:
        assert processor.stats()["spans_ended"] == 0
        end("child", 30)
        assert processor.flush(5)
        assert processor.stats()["spans_exported"] == 30
        os._exit(0)
    assert os.wait()[1] == 0
    end("parent", 50)
    """
    assert run(program) == {"parent": 100, "child": 30}


@forks
def test_spans_that_are_open_at_a_fork_are_sent_by_the_parent_alone(run: Run) -> None:
    program = """
    def start(name):
        return core.start(core.Template(pipeline, name, "internal", {}, sampling=Everything()), None, core.Span)

    with start("outer"), start("inner"):
        child = os.fork() == 0
        if child:
            end("child's own")
            sys.exit(0)  # leaves the blocks by an exception
    assert os.wait()[1] == 0
    """
    assert run(program) == {"outer": 1, "inner": 1, "child's own": 1}


@forks
def test_a_forked_child_that_exits_by_itself_needs_no_flush(run: Run) -> None:
    program = """
    end("parent", 50)
    if os.fork() == 0:
        end("child", 30)
        sys.exit(0)
    assert os.wait()[1] == 0
    """
    assert run(program) == {"parent": 50, "child": 30}


@forks
def test_a_fork_while_other_threads_end_spans_and_read_counts_does_not_deadlock(run: Run) -> None:
    program = """
    stop = False
    def busy():
        while not stop:
            end("parent", 10)
            processor.stats()
    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads: thread.start()
    for _ in range(20):
        if os.fork() == 0:
            end("child", 3)
            os._exit(0 if processor.flush(10) else 1)
        assert os.wait()[1] == 0
    stop = True
    for thread in threads: thread.join()
    stats = processor.stats()
    assert processor.shutdown(5)
    """
    assert run(program)["child"] == 60


@forks
def test_the_child_of_a_processor_that_was_shut_down_drops_and_counts(run: Run) -> None:
    program = """
    end("parent")
    processor.shutdown(5)
    if os.fork() == 0:
        end("child", 3)
        os._exit(processor.stats()["spans_dropped"]["shutdown"])
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 3
    """
    assert run(program) == {"parent": 1}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_sends_its_last_spans(run: Run, method: str) -> None:
    """FAULTS 15: a recycled worker loses nothing."""
    if method not in __import__("multiprocessing").get_all_start_methods():
        pytest.skip(f"no {method} here")
    program = f"""
    def work():
        end("child", 30)

    if __name__ == "__main__":
        end("parent", 50)
        context = multiprocessing.get_context({method!r})
        children = [context.Process(target=work) for _ in range(2)]
        for child in children: child.start()
        for child in children: child.join()
        assert [child.exitcode for child in children] == [0, 0]
    """
    assert run(program) == {"parent": 50, "child": 60}


@forks
def test_recycled_workers_of_a_pool_lose_nothing(run: Run) -> None:
    program = """
    def work(number):
        end("child", 3)

    if __name__ == "__main__":
        with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=2) as pool:
            pool.map(work, range(12), chunksize=1)
            pool.close()
            pool.join()
    """
    assert run(program) == {"child": 36}


@forks
def test_a_child_that_is_forked_in_c_exports_its_own_spans_and_not_its_parents(run: Run) -> None:
    """uWSGI's workers: no hook of Python's runs in them."""
    program = """
    import ctypes
    end("parent", 50)
    processor.flush(5)
    time.sleep(0.2)  # a thread that waits for the interpreter when somebody forks leaves it broken in the child
    for _ in range(3):
        if ctypes.PyDLL(None).fork() == 0:
            end("child", 30)
            assert processor.stats()["spans_ended"] == 30
            os._exit(0 if processor.flush(5) else 1)
        assert os.wait()[1] == 0
    """
    assert run(program) == {"parent": 50, "child": 90}


@forks
@pytest.mark.parametrize("ask", ["flush(5)", "shutdown(5)", "stats()", "start()"])
def test_a_child_that_is_forked_in_c_does_not_wait_for_the_thread_of_its_parent(run: Run, ask: str) -> None:
    program = f"""
    import ctypes
    end("parent", 50)
    processor.flush(5)
    time.sleep(0.2)  # a thread that waits for the interpreter when somebody forks leaves it broken in the child
    if ctypes.PyDLL(None).fork() == 0:
        began = time.monotonic()
        processor.{ask}
        os._exit(0 if time.monotonic() - began < 2 else 1)
    assert os.wait()[1] == 0
    """
    assert run(program) == {"parent": 50}


def test_an_exporter_that_hangs_does_not_keep_the_process(run: Run) -> None:
    program = """
    class Hanging:
        def export(self, spans): time.sleep(60)
        def shutdown(self, timeout): time.sleep(60)
    processor.exporter = processor._worker._exporter = Hanging()
    end("lost", 250)
    """
    began = time.monotonic()
    assert run(program) == {}
    assert time.monotonic() - began < 20


def test_an_exporter_that_hangs_does_not_take_the_time_of_the_others(run: Run) -> None:
    program = """
    class Hanging:
        def export(self, spans): time.sleep(60)
        def shutdown(self, timeout): time.sleep(60)
    made = [make(Hanging()), (processor, pipeline), make(Hanging())]
    for number, (_, pipeline) in enumerate(made):
        end(f"to {number}", 50)
    """
    assert run(program) == {"to 1": 50}


@pytest.mark.parametrize(("seconds", "arrived"), [(20.0, {"slow": 50}), (0.001, {})])
def test_the_end_of_a_process_waits_for_as_long_as_its_settings_say(
    run: Run, seconds: float, arrived: dict[str, int]
) -> None:
    program = f"""
    from mqtrace.export.batch import BatchSettings
    class Slow:
        def __init__(self): self.file = from_url(sys.argv[1])
        def export(self, spans):
            time.sleep(3)
            self.file.export(spans)
        def shutdown(self, timeout): pass
    processor, pipeline = make(Slow(), settings=BatchSettings(exit_timeout={seconds}))
    end("slow", 50)
    """
    assert run(program) == arrived


def test_a_signal_handler_may_end_spans_and_flush(run: Run) -> None:
    program = """
    def handler(number, frame):
        end("handler", 1)
        processor.stats()
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    began = time.monotonic()
    while time.monotonic() - began < 1:
        end("work", 20)
        processor.flush(5)
    signal.setitimer(signal.ITIMER_REAL, 0)
    """
    assert run(program)["work"] > 0


@pytest.mark.parametrize("where", ["at module level", "in the child", "before the fork"])
def test_a_child_of_billiard_sends_its_last_spans(run: Run, where: str) -> None:
    """It is what a task of a prefork worker has to use."""
    pytest.importorskip("billiard")
    program = f"""
    import billiard
    where = {where!r}

    def work():
        global processor, pipeline
        if where == "in the child":
            processor, pipeline = make(sys.argv[1])
        end("child", 30)

    if where == "before the fork":
        end("parent", 50)
    if __name__ == "__main__":
        child = billiard.Process(target=work)
        child.start()
        child.join()
        assert child.exitcode == 0
    """
    assert run(program)["child"] == 30


def test_the_workers_of_an_executor_send_their_last_spans(run: Run) -> None:
    program = """
    from concurrent.futures import ProcessPoolExecutor

    def work(number):
        end("child", 3)

    if __name__ == "__main__":
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            list(pool.map(work, range(10)))
    """
    assert run(program) == {"child": 30}


def test_a_program_of_its_own_sends_its_last_spans(run: Run) -> None:
    program = """
    import subprocess
    if len(sys.argv) == 2:
        assert subprocess.run([sys.executable, __file__, sys.argv[1], "child"]).returncode == 0
        end("parent")
    else:
        end("child", 30)
    """
    assert run(program) == {"parent": 1, "child": 30}


@forks
def test_a_child_that_leaves_at_once_loses_what_it_did_not_flush(run: Run) -> None:
    """Nothing of Python's runs at os._exit; docs/configuration.md says so."""
    program = """
    if os.fork() == 0:
        end("flushed", 30)
        assert processor.flush(5)
        end("lost", 30)
        os._exit(0)
    assert os.wait()[1] == 0
    """
    assert run(program) == {"flushed": 30}


WAITING = """
    class Waiting:
        \"\"\"A tracer whose client holds a span until its report.\"\"\"
        def __init__(self, name):
            template = core.Template(pipeline, name, "internal", {}, sampling=Everything())
            self.span = core.start(template, None, core.Span)
        def end_pending(self):
            self.span.end()
    from mqtrace.export import lifecycle
    def wait(name, kind=Waiting):
        global kept
        kept = kind(name)
        lifecycle.tracers.add(kept)
"""


def test_spans_that_wait_for_a_report_leave_at_the_end(run: Run) -> None:
    assert run(WAITING + "    wait('send')\n") == {"send": 1}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver", "billiard"])
def test_spans_that_wait_for_a_report_leave_at_the_end_of_a_child(run: Run, method: str) -> None:
    """Though no span has ended in it, and so no worker was ever started."""
    if method == "billiard":
        pytest.importorskip("billiard")
        library = "import billiard as context"
    else:
        library = f"context = multiprocessing.get_context({method!r})"
    program = f"""
    if __name__ == "__main__":
        {library}
        child = context.Process(target=wait, args=("send",))
        child.start()
        child.join()
        assert child.exitcode == 0
    """
    assert run(WAITING + program) == {"send": 1}


def test_a_client_that_raises_at_the_end_does_not_keep_the_spans_of_others(run: Run) -> None:
    program = """
    class Broken(Waiting):
        def end_pending(self):
            raise RuntimeError("closed")
    wait("never", Broken)
    broken = kept
    end("others", 5)
    """
    # what it did not end is found open
    assert run(WAITING + program) == {"others": 5, "never": 1}


def test_there_is_no_thread_in_uwsgis_master_which_forks_in_c(run: Run) -> None:
    program = """
    import types
    sys.modules["uwsgi"] = uwsgi = types.ModuleType("uwsgi")
    numbers = {"worker_id": 0, "mule_id": 0}
    uwsgi.worker_id, uwsgi.mule_id = lambda: numbers["worker_id"], lambda: numbers["mule_id"]
    uwsgi.i_am_the_spooler = lambda: None
    end("master", 250)
    assert processor._thread is None
    assert processor.flush(5)  # in this thread
    numbers["worker_id"] = 1
    end("worker", 250)
    assert processor._thread is not None
    """
    assert run(program) == {"master": 250, "worker": 250}
