"""The end of a process whose messages still wait for their reports."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


@pytest.mark.parametrize("where", ["here", "in a child"])
def test_a_send_that_waits_for_its_report_leaves_at_a_clean_exit(tmp_path: Path, where: str) -> None:
    program = f"""
    import multiprocessing, mqtrace
    from confluent_kafka import Producer

    def send():
        global producer
        mqtrace.configure("shop", exporter="file://{tmp_path}/spans.jsonl")
        producer = mqtrace.wrap(Producer({{"bootstrap.servers": "127.0.0.1:1", "log_level": 0}}))
        producer.produce("orders", b"x")
        producer.poll(0)

    if {where == "here"}:
        send()
    else:
        child = multiprocessing.get_context("fork").Process(target=send)
        child.start()
        child.join()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=20, check=True)
    assert (tmp_path / "spans.jsonl").read_text().count('"name":"send orders"') == 1
