"""Forks: what a child renews, and how it is noticed if no hook of Python's runs in it.

``os.fork`` runs Python's hooks in the child. A fork in C (uWSGI makes its workers so) runs none, and the child goes
on with the parent's ids, its queue, and a thread that it does not have. Reading the pid costs as much as a span's id.
So there is a page of memory that Linux wipes in every child: reading a byte of it costs a tenth of that, and is done
for every id that was made ahead.

The interpreter's own lock is not renewed either. If a thread of the parent was waiting for it, glibc's condition
variable waits for that thread in the child, for ever, when the lock is handed over for the second time. CPython asks
every child of a fork to call ``PyOS_AfterFork_Child``; it is called here where nobody has and it is safe: in a child's
only thread.
"""

from __future__ import annotations

import _imp
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mqtrace.native import RLock

if TYPE_CHECKING:
    from mmap import mmap

__all__ = ["after_fork", "notice_fork", "prepare_repair", "unforked"]

# madvise(2), Linux 4.14; Python has no name for it. The second is an advice that no system has.
_MADV_WIPEONFORK: Final = 18
_MADV_INVALID: Final = -1


def _wiped_page() -> mmap | None:
    """A page of memory that is zeros in a forked child; None if the system has none."""
    if not sys.platform.startswith("linux"):
        return None
    from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

    try:
        page = mmap(-1, PAGESIZE, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
    except OSError:
        return None
    try:
        page.madvise(_MADV_INVALID)
    except OSError:
        return page
    return None  # an emulator, which accepts any advice and does nothing


_page: Final = _wiped_page()
#: ``unforked[0]``: 0 in a forked child that has not renewed, and always if the system cannot tell. For the hot path.
unforked: Final[mmap | bytes] = (b"\0" if hasattr(os, "fork") else b"\1") if _page is None else _page


def _mark() -> None:
    """Say that this process has renewed."""
    if _page is not None:
        _page[0] = 1


_mark()

_renewals: Final[list[Callable[[], object]]] = []
#: The process that has renewed, and the one that has begun to.
_renewed = os.getpid()
_renewing = _renewed
#: Whether Python runs its hooks, or is about to. One that runs before ours may make a span.
_hooks_run = False
# By process: a child must not wait for a thread of its parent.
_renewal_locks: Final[dict[int, RLock]] = {}
#: ctypes, the C library and a buffer, after :func:`prepare_repair`.
_ctypes: tuple[Any, Any, Any] | None = None


def after_fork(renew: Callable[[], object]) -> None:
    """Call this once in every forked child, in the order of registration. It must not raise."""
    _renewals.append(renew)


def notice_fork() -> bool:
    """Renew what is the parent's, if this is a child that has not. Returns whether it was."""
    if _is_renewed():
        return False
    pid = os.getpid()
    with _renewal_locks.setdefault(pid, RLock()):
        if pid in (_renewed, _renewing):  # by another thread; or by this one, in which a signal handler runs
            return False
        if _hooks_run or not _repair():
            _renew()
        return True


def _is_renewed() -> bool:
    return _renewed == os.getpid() if _page is None else unforked[0] != 0


def prepare_repair() -> None:
    """Load what :func:`_repair` needs in a child. Called before our first thread, which may wait for the lock."""
    global _ctypes
    if _ctypes is not None or not sys.platform.startswith("linux"):
        return
    try:
        import ctypes
    except ImportError:
        return
    # PyDLL, because its calls keep the interpreter's lock: that must not be handed over before it is renewed
    _ctypes = ctypes, ctypes.PyDLL(None), ctypes.create_string_buffer(1024)


def _repair() -> bool:
    """Have the interpreter renew itself, and call our hook among others. Returns whether that was safe."""
    global _hooks_run
    if _ctypes is None or "uwsgi" in sys.modules or _imp.lock_held() or not _has_one_thread():
        # uWSGI has an option for it, may have several interpreters, and forks where there is no thread of ours
        return False
    _hooks_run = True
    _imp.acquire_lock()  # as os.fork does; PyOS_AfterFork_Child releases it
    _ctypes[0].pythonapi.PyOS_AfterFork_Child()
    return True


def _has_one_thread() -> bool:
    """Whether this process has one thread and one interpreter (proc_pid_stat(5), num_threads)."""
    if _ctypes is None:
        return False
    ctypes, library, buffer = _ctypes
    api = ctypes.pythonapi
    getter = ctypes.PYFUNCTYPE(ctypes.c_void_p)
    main = getter(("PyInterpreterState_Main", api))()
    next_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(("PyInterpreterState_Next", api))
    if getter(("PyInterpreterState_Head", api))() != main or next_of(main) is not None:
        return False
    file = library.open(b"/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
    if file < 0:
        return False
    length = library.read(file, buffer, len(buffer))
    library.close(file)
    fields = buffer.raw[: max(0, length)].rpartition(b")")[2].split()
    return len(fields) > 17 and fields[17] == b"1"


def _renew() -> None:
    global _renewed, _renewing
    _renewing = os.getpid()
    for renew in _renewals:
        renew()
    _renewed = _renewing
    _mark()


def _before() -> None:
    global _hooks_run
    _hooks_run = True


def _after_in_parent() -> None:
    global _hooks_run
    _hooks_run = False


def _after_in_child() -> None:
    global _hooks_run
    if not _is_renewed():
        _renew()
    _hooks_run = False


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
