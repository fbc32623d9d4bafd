"""Where a broker lives: its folder, its lock, and what is known about its last run.

A run is a folder (``MQTRACE_BROKERS_DIR``, ``.brokers`` of the checkout if left out) with one folder a broker; two
runs in two folders never meet. What is downloaded or built lies in ``MQTRACE_CACHE_DIR``, the user's cache folder if
left out, where another checkout finds it too: a clean clone does not build for minutes what the one before has built.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from brokers.process import Process

__all__ = ["CHECKOUT", "Place", "cache_folder", "cached", "fingerprint", "folder_of_run"]

CHECKOUT = Path(__file__).resolve().parents[2]


def folder_of_run() -> Path:
    """The folder of this run."""
    return Path(os.environ.get("MQTRACE_BROKERS_DIR") or CHECKOUT / ".brokers").absolute()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel, also after kill -9
        yield


def cache_folder() -> Path:
    """``MQTRACE_CACHE_DIR``, else the user's cache folder, else, where that cannot be written, one of the checkout."""
    if given := os.environ.get("MQTRACE_CACHE_DIR"):
        return Path(given).absolute()
    wish = os.environ.get("XDG_CACHE_HOME", "")
    try:  # XDG Base Directory Specification: a path that is not absolute is ignored
        folder = (Path(wish) if os.path.isabs(wish) else Path.home() / ".cache") / "mqtrace"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return CHECKOUT / ".brokers" / "cache"
    return folder if os.access(folder, os.W_OK) else CHECKOUT / ".brokers" / "cache"


def fingerprint(*recipes: Path) -> str:
    """Part of a name in the cache: what was made by another recipe is another thing."""
    return hashlib.sha256(b"".join(recipe.read_bytes() for recipe in recipes)).hexdigest()[:8]


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, filled once; a half-filled one is never seen, not even after kill -9."""
    cache = cache_folder()
    folder = cache / name
    with _locked(cache / f"{name}.lock"):
        if not folder.is_dir():
            for left in cache.glob(f"{name}.unfinished-*"):  # by a fill that was killed
                shutil.rmtree(left, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.unfinished-", dir=cache))
            try:
                fill(unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


class Place:
    """The folder of one broker of this run."""

    def __init__(self, name: str) -> None:
        self.folder = folder_of_run() / name
        self.log = self.folder / "log.txt"
        self._state = self.folder / "state.json"

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Held while a broker is started or stopped: the second of two programs finds what the first did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return _locked(self.folder / "lock")

    def known(self) -> tuple[int | None, list[Process]]:
        """(port, processes) of the last run, whether or not they still live."""
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            return int(state["port"]), [Process(int(pid), str(born)) for pid, born in state["processes"]]
        except (OSError, ValueError, KeyError, TypeError):  # never written, or cut off by a full disk
            return None, []

    def note(self, port: int, processes: list[Process]) -> None:
        """Remember a run: written as soon as something was started, so that nothing started is ever forgotten."""
        unfinished = self._state.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"port": port, "processes": processes}), encoding="utf-8")
        unfinished.replace(self._state)

    def forget(self, *, erase: bool) -> None:
        """After a stop: the processes are no more; the port is kept for the next start. ``erase``: all data too."""
        port, _ = self.known()
        if erase:
            for entry in self.folder.iterdir():
                if entry.name == "lock":
                    continue
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        elif port is not None:
            self.note(port, [])

    def last_words(self, lines: int = 25) -> str:
        """The end of the log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"
