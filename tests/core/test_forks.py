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


def run(program: str) -> str:
    beginning = (
        "import ctypes, os, sys, threading\nfrom mqtrace import core\nfrom mqtrace.core import forks, identity\n"
    )
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


@pytest.mark.parametrize("take", ["identity.fresh()", "identity.new_span_id()", "some.take()"])
def test_children_forked_in_c_have_ids_of_their_own(take: str) -> None:
    program = f"""
    some = identity.roots_for(b"8" + b"0" * 13)
    {take}
    for _ in range(3):
        if ctypes.PyDLL(None).fork() == 0:
            os.write(1, b"".join(({take})[:52] + b"\\n" for _ in range(20)))
            os._exit(0)
        os.wait()
    os.write(1, {take} + b"\\n")
    """
    made = run(program).split()
    assert len(made) == len(set(made)) == 61


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
