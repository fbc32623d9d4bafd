"""The benchmark runs, and its table has every row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytest.importorskip("opentelemetry.instrumentation.confluent_kafka", reason="needs mqtrace[bench]")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_figure_is_measured() -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
    figures = json.loads(done.stdout)
    for variant in ("bare", "mqtrace", "mqtrace unsampled", "mqtrace off", "opentelemetry"):
        assert {"produce", "poll", "batch", "whole produce", "whole consume", "everything"} <= figures[variant].keys()
    assert {"encode", "bytes raw", "bytes sent", "span allocated", "span pooled"} <= figures["mqtrace"].keys()
    assert figures["mqtrace"]["lost"] == [0]
    # two spans a message, and those of the warm-up
    assert figures["mqtrace"]["spans"][0] >= 2 * 400
