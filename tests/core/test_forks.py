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
