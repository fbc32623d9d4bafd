"""A Kafka of this run's own, on a free port and in a folder of its own: to be killed, frozen, and started again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

__all__ = ["Kafka"]

_COMPOSE = Path(__file__).parent.parent.parent / "compose"


class Kafka:
    """``address``: its bootstrap servers, the same after every start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "MQTRACE_BROKERS_DIR": str(folder)}
        self.address = self._up(MQTRACE_KAFKA_PORT="0")

    def start(self) -> None:
        """Start it again, on the same port and data."""
        self._up()

    def kill(self) -> None:
        """As a machine that loses its power."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Stop it, frozen or not, and remove its data."""
        if self._state().get("processes"):
            try:
                self.thaw()
            except ProcessLookupError:
                pass  # it was killed last
        self._compose("down", "--erase")

    def _up(self, **environment: str) -> str:
        said = self._compose("up", "kafka", **environment)
        return shlex.split(said.strip().partition("=")[2])[0]

    def _state(self) -> dict[str, list[tuple[int, str]]]:
        try:
            found: dict[str, list[tuple[int, str]]] = json.loads((self._folder / "kafka" / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def _signal(self, number: int) -> None:
        ((pid, _),) = self._state()["processes"]
        os.kill(pid, number)

    def _compose(self, program: str, *arguments: str, **environment: str) -> str:
        command = [sys.executable, str(_COMPOSE / program), *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**self._environment, **environment},
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"there is no Kafka to soak with: {done.stderr.strip()}")
        return done.stdout
