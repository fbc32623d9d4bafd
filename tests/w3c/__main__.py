"""The W3C's own suite for Trace Context against mqtrace: ``make w3c W3C_TRACE_CONTEXT=/path/to/its/checkout``.

The checkout is of https://github.com/w3c/trace-context; its harness needs aiohttp. Further arguments are the names of
its tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mqtrace

from .service import running


def main(patterns: list[str]) -> int:
    """Run it; its exit status, or 2 where it is not there."""
    checkout = os.environ.get("W3C_TRACE_CONTEXT", "")
    harness = Path(checkout) / "test" / "test.py"
    if not checkout or not harness.is_file():
        print(
            "Set W3C_TRACE_CONTEXT to a checkout of https://github.com/w3c/trace-context"
            f"{f': {harness} is not there' if checkout else ''}.",
            file=sys.stderr,
        )
        return 2
    tracer = mqtrace.Tracer("w3c", exporter="none:", propagators="tracecontext")
    environment = {"SPEC_LEVEL": "2", "STRICT_LEVEL": "2", **os.environ}
    with running(tracer) as url:
        command = [sys.executable, str(harness.resolve()), url, *patterns]
        status = subprocess.run(command, cwd=harness.parent, env=environment, timeout=300, check=False).returncode
    tracer.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
