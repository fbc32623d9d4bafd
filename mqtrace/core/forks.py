"""Which process this is: what a forked child renews, and how a fork is noticed that nobody tells of.

``os.fork`` runs Python's hooks in the child. Who forks in C (uWSGI makes its workers so) runs none, and the child goes
on with the parent's ids, its queue, and a thread that it does not have. A look at the pid costs as much as an id, so it
is taken where that does not count: when ids are made, and wherever the worker is looked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from .native import RLock

__all__ = ["after_fork", "notice_fork"]

_renewals: Final[list[Callable[[], object]]] = []
#: The process that has renewed, and the one that is about to.
_renewed = os.getpid()
_renewing = _renewed
# By process, so that a child never waits for a thread that it does not have.
_alone: Final[dict[int, RLock]] = {}


def after_fork(renew: Callable[[], object]) -> None:
    """Have this called in every forked child, once, in the order of registration. It must not raise."""
    _renewals.append(renew)


def notice_fork() -> bool:
    """Renew what is the parent's, if this is a child in which nobody has. Whether it was."""
    pid = os.getpid()
    if pid == _renewed:
        return False
    with _alone.setdefault(pid, RLock()):
        if pid in (_renewed, _renewing):  # another thread has meanwhile; or this one does, and a signal came
            return False
        _renew()
        return True


def _renew() -> None:
    global _renewed, _renewing
    _renewing = os.getpid()
    for renew in _renewals:
        renew()
    _renewed = _renewing


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_renew)
