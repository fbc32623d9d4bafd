"""Forks that Python's hooks do not see, as uWSGI's: the process is known by its pid."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap

import pytest

from mqtrace.core import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


def run(program: str, before: str = "") -> str:
    """What a program prints. ``before``: code that runs before mqtrace is imported."""
    beginning = f"import ctypes, mmap, os, sys, threading\n{before}\n"
    beginning += "from mqtrace import core\nfrom mqtrace.core import forks, identity\n"
    done = subprocess.run(
        [sys.executable, "-c", beginning + textwrap.dedent(program)], timeout=20, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_renewed_where_nothing_forked() -> None:
    assert not forks.notice_fork()


@pytest.mark.parametrize(("fork", "noticed"), [("os.fork()", False), ("ctypes.PyDLL(None).fork()", True)])
def test_a_child_renews_once_whoever_tells_it(fork: str, noticed: bool) -> None:
    program = f"""
    renewals = []
    core.after_fork(lambda: renewals.append(os.getpid()))
    if {fork} == 0:
        assert core.notice_fork() is {noticed}
        assert not core.notice_fork()
        print(renewals == [os.getpid()], flush=True)
        if {fork} == 0:
            core.notice_fork()
            print(len(renewals), flush=True)
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
    """
    assert run(program).split() == ["True", "2"]


def test_two_threads_that_notice_together_renew_once() -> None:
    program = """
    import time
    renewals = []
    core.after_fork(lambda: (renewals.append(1), time.sleep(0.05)))
    if ctypes.PyDLL(None).fork() == 0:
        threads = [threading.Thread(target=core.notice_fork) for _ in range(5)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(renewals), flush=True)
        os._exit(0)
    os.wait()
    """
    assert run(program) == "1\n"


_ADVISED = """
class Page(mmap.mmap):
    def madvise(self, advice):
        {}
mmap.mmap = Page
"""
SYSTEMS = {
    "this one": "",
    "Linux before 4.14": _ADVISED.format("raise OSError(22, 'Invalid argument')"),
    "an emulator that does nothing": _ADVISED.format("return None"),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("count", [1, 3000])
@pytest.mark.parametrize("take", ["identity.fresh()", "identity.new_span_id()", "some.take()"])
def test_children_forked_in_c_have_ids_of_their_own(take: str, count: int, system: str) -> None:
    """Those made ahead for the parent, which makes many at once, are the child's too."""
    program = f"""
    assert bool(forks.unforked[0]) is {system == "this one" and sys.platform == "linux"}
    some = identity.roots_for(b"8" + b"0" * 13)
    for _ in range({count}):
        {take}
    for _ in range(3):
        if ctypes.PyDLL(None).fork() == 0:
            os.write(1, b"".join(({take})[:52] + b"\\n" for _ in range(20)))
            os._exit(0)
        os.wait()
    os.write(1, {take} + b"\\n")
    """
    made = run(program, SYSTEMS[system]).split()
    assert len(made) == len(set(made)) == 61


@pytest.mark.parametrize(
    "start",
    [
        "core.start_send(template).identity",
        "core.start_process(template, GOOD, None, None, -1, -1, -1).identity",
        "core.start_process(template, OFF, None, None, -1, -1, -1).identity",
        "core.start_unsampled(OFF, None, None).identity",
        "identity.child_of(GOOD)",
    ],
)
def test_a_span_of_a_child_forked_in_c_has_an_id_of_its_own(start: str) -> None:
    """Wherever a span starts, also when the parent was in the middle of many."""
    program = f"""
    class Sink:
        queue, limit = [], core.NO_LIMIT
    class Everything:
        threshold, state, follows = b"0" * 14, None, True
    parts = dict(clock=core.Clock(), limits=core.Limits(), counters=core.Counters())
    pipeline = core.Pipeline("shop", {{}}, Sink(), **parts)
    template = core.Template(pipeline, "send orders", "producer", {{}}, sampling=Everything())
    GOOD = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"
    OFF = GOOD[:-1] + b"0"
    for _ in range(3000):
        {start}
    if ctypes.PyDLL(None).fork() == 0:
        os.write(1, {start}[:52] + b"\\n")
        os._exit(0)
    os.wait()
    os.write(1, {start}[:52] + b"\\n")
    os._exit(0)
    """
    theirs, ours = run(program).split()
    assert theirs != ours


def test_a_hook_that_runs_before_ours_may_make_a_span_in_the_child() -> None:
    """Python is in the middle of its hooks then: they are not to run a second time."""
    before = "hooks = []\nos.register_at_fork(after_in_child=lambda: hooks.append(core.new_span_id()))"
    program = """
    core.prepare_repair()
    made = core.new_span_id()
    if os.fork() == 0:
        print(len(hooks), made in hooks, core.new_span_id() in hooks, flush=True)
        os._exit(0)
    os.wait()
    """
    assert run(program, before) == "1 False False\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says whether a process has one thread")
def test_a_child_forked_in_c_that_forks_before_its_first_span_is_repaired_too() -> None:
    program = """
    core.prepare_repair()
    hooks = []
    os.register_at_fork(after_in_child=lambda: hooks.append(os.getpid()))
    if ctypes.PyDLL(None).fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        core.new_span_id()
        print(hooks == [os.getpid()], flush=True)
        os._exit(0)
    os.wait()
    """
    assert run(program) == "True\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it asks Linux whether it is alone")
def test_a_thread_that_waits_for_the_interpreter_at_the_fork_does_not_lock_it_in_the_child() -> None:
    program = """
    import time
    core.prepare_repair()
    sys.setswitchinterval(60)  # who waits does not ask for it meanwhile
    def busy():
        while True:
            time.sleep(0)
    for _ in range(5):
        threading.Thread(target=busy, daemon=True).start()
    hooks = []
    os.register_at_fork(after_in_child=lambda: hooks.append(os.getpid()))
    for _ in range(20):
        time.sleep(0.001)
        if ctypes.PyDLL(None).fork() == 0:
            core.new_span_id()
            for _ in range(10):
                time.sleep(0)  # hands it over
            worked = []
            thread = threading.Thread(target=lambda: worked.append(1))
            thread.start()
            thread.join()
            os._exit(0 if worked and hooks == [os.getpid()] and threading.active_count() == 1 else 1)
        assert os.wait()[1] == 0
    print("over", flush=True)
    os._exit(0)
    """
    assert run(program) == "over\n"


def test_a_child_that_has_threads_already_is_not_repaired() -> None:
    """It would take the interpreter away from them."""
    program = """
    core.prepare_repair()
    if ctypes.PyDLL(None).fork() == 0:
        go, done = threading.Event(), []
        thread = threading.Thread(target=lambda: (go.wait(), done.append(1)))
        thread.start()
        assert core.notice_fork()
        go.set()
        thread.join()
        print(done, flush=True)
        os._exit(0)
    os.wait()
    """
    assert run(program) == "[1]\n"


def test_the_c_library_forks_without_a_hook() -> None:
    """Else the tests above say nothing."""
    read, write = os.pipe()
    if ctypes.PyDLL(None).fork() == 0:
        os.write(write, b"unnoticed" if forks._renewed != os.getpid() else b"noticed")
        os._exit(0)
    os.wait()
    os.close(write)
    assert os.read(read, 20) == b"unnoticed"
    os.close(read)


@pytest.mark.skipif(not hasattr(os, "unshare"), reason="Linux, and Python 3.12")
def test_a_child_with_its_parents_pid_renews() -> None:
    """The first process of a namespace of its own, forked by the first process of another."""
    program = """
    try:
        os.unshare(os.CLONE_NEWPID)
    except PermissionError:
        print("not allowed")
        os._exit(0)
    if os.fork() == 0:
        os.unshare(os.CLONE_NEWPID)
        ids = [core.new_span_id()]
        if os.fork() == 0:
            os.write(1, b"%d" % os.getpid() + core.new_span_id() + b" ")
            os._exit(0)
        os.wait()
        os.write(1, b"%d" % os.getpid() + core.new_span_id() + b" ")
        os._exit(0)
    os.wait()
    """
    printed = run(program)
    if printed == "not allowed\n":
        pytest.skip("only root may have a namespace of its own")
    theirs, ours = printed.split()
    assert (theirs[0], ours[0]) == ("1", "1")
    assert theirs != ours
