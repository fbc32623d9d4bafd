"""A process that the demo started: what it reports, and its end.

Each is in a session of its own, so that Ctrl-C reaches the demo alone, which then ends each by its pid.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any, Final

__all__ = ["DemoProcess"]

# Seconds that a process has to end by itself before it is killed.
_GRACE: Final = 3.0


class DemoProcess:
    """``python -m module arguments``. ``facts``: the newest value of each that it reported in JSON lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.name = module.rpartition(".")[2]
        self.facts: dict[str, Any] = {}
        self._was_stopped = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # read after the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended, and all that it reported has been read."""
        return self._process.poll() is not None and not self._listener.is_alive()

    @property
    def failure(self) -> str | None:
        """The last line of what it complained of, where it ended with an error; None if it did not."""
        if not self.ended or not self._process.returncode:
            return None
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return last or f"exit status {self._process.returncode}"

    def _listen(self) -> None:
        assert self._process.stdout is not None, "it is a pipe"
        for line in self._process.stdout:
            try:
                self.facts.update(json.loads(line))
            except (ValueError, TypeError):
                pass  # a library that printed something

    def tell_to_stop(self) -> None:
        """Ask it to finish what it is doing. Once: at its very end an interpreter would die of a second signal."""
        if not self._was_stopped and self._process.poll() is None:
            self._was_stopped = True
            self._process.terminate()

    def end(self) -> None:
        """Stop it, by force if need be; afterwards it is gone."""
        self.tell_to_stop()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_GRACE)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def __enter__(self) -> DemoProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
