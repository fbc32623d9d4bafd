"""gevent and eventlet, whose threads are greenlets: put in place before or after mqtrace, they go on while it works."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap

import pytest

PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all(); from gevent import sleep, spawn",
    "eventlet": "import eventlet; eventlet.monkey_patch(); from eventlet import sleep, spawn",
}
ORDERS = ["first", "after the import", "after configure", "after the first span"]

TICKING = """
ticks = []

def tick():
    while True:
        sleep(0.01)
        ticks.append(1)

def ticks_in(act):
    began, before = time.monotonic(), len(ticks)
    act()
    return (len(ticks) - before) / ((time.monotonic() - began) / 0.01)
"""


@pytest.fixture(params=["gevent", "eventlet"])
def library(request: pytest.FixtureRequest) -> str:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def run(program: str) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def patched(library: str, order: str, exporter: str) -> str:
    """A program up to the first span, with the library in place by then."""
    steps = {
        "first": "import time",
        "after the import": "import mqtrace, logging; logging.disable(50)",
        "after configure": f"tracer = mqtrace.configure('shop', exporter={exporter!r})",
        "after the first span": "tracer.start_span('first').end()",
    }
    lines = ["import sys"]
    for name, step in steps.items():
        lines += [step, PATCH[library]] if name == order else [step]
    return "\n".join(lines) + TICKING + "\nspawn(tick); sleep(0.05)\n"


@pytest.mark.parametrize("order", ORDERS)
def test_the_others_go_on_while_one_waits_for_a_flush(library: str, order: str) -> None:
    program = patched(library, order, "kafka://127.0.0.1:1/spans") + textwrap.dedent("""
        print(ticks_in(lambda: mqtrace.flush(1)))
        print(ticks_in(lambda: sleep(0.5)))
        print(ticks_in(lambda: mqtrace.shutdown(1)))
        import os; os._exit(0)
    """)
    assert all(float(share) > 0.3 for share in run(program))


@pytest.mark.parametrize("order", ORDERS)
def test_what_has_ended_arrives(library: str, order: str) -> None:
    program = patched(library, order, "memory:") + textwrap.dedent("""
        def work():
            for _ in range(100):
                tracer.start_span("work").end()
                sleep(0)
        greenlets = [spawn(work) for _ in range(5)]
        for greenlet in greenlets: (greenlet.get if hasattr(greenlet, "get") else greenlet.wait)()
        print(mqtrace.flush(5), len(tracer.settings.exporter.spans))
    """)
    assert run(program) == ["True", "501"]


def test_a_flush_within_the_loop_of_gevent_itself_waits_as_it_can(library: str) -> None:
    if library != "gevent":
        pytest.skip("gevent's loop")
    program = patched(library, "first", "memory:") + textwrap.dedent("""
        import gevent
        done = []
        gevent.get_hub().loop.run_callback(lambda: done.append(mqtrace.flush(5)))
        sleep(0.5)
        print(done)
    """)
    assert run(program) == ["[True]"]


def test_a_timeout_of_gevents_ends_the_wait(library: str) -> None:
    if library != "gevent":
        pytest.skip("gevent's timeout")
    program = patched(library, "first", "kafka://127.0.0.1:1/spans") + textwrap.dedent("""
        import gevent
        began = time.monotonic()
        try:
            with gevent.Timeout(0.2):
                mqtrace.flush(5)
        except gevent.Timeout:
            print(time.monotonic() - began < 1)
        import os; os._exit(0)
    """)
    assert run(program) == ["True"]
