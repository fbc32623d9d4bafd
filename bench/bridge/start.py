"""What ``mqtrace run`` adds to the start of an empty program, from the call to its end: ms of wall time, minima."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["figures"]


def figures(variant: str, address: str, count: int) -> dict[str, float]:
    """The start of a bare Python and what is added to it, the two in turn."""
    if variant != "mqtrace":
        return {}
    with TemporaryDirectory() as folder:
        program = Path(folder) / "empty.py"
        program.write_text("")
        bare = [sys.executable, str(program)]
        ours = [sys.executable, "-m", "mqtrace.cli", "run", str(program)]
        turns = [(_milliseconds(bare), _milliseconds(ours)) for _ in range(max(5, count // 1000))]
    least, least_ours = (min(some) for some in zip(*turns, strict=True))
    return {"run start": least, "run start added": least_ours - least}


def _milliseconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "MQTRACE_EXPORTER": "none:"})
    return (time.perf_counter() - began) * 1e3
