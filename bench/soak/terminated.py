"""A process that SIGTERM ends while it works: ``python -m bench.soak.terminated EXPORTER NAME``.

It handles no signal. After every burst of spans it prints how many have ended.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

import mqtrace

__all__ = ["BURST"]

BURST: Final = 20


def main(exporter: str, name: str) -> None:
    """Run until somebody ends it."""
    mqtrace.configure(name, sampler=1.0, exporter=exporter)
    ended = 0
    while True:
        for _ in range(BURST):
            with mqtrace.start_span("work", parent=None):
                ended += 1
        os.write(1, b"%d\n" % ended)
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
