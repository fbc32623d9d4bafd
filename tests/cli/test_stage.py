"""What a process of the demo says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from mqtrace.cli.demo.stage import say


def test_lines_of_several_threads_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that was torn would be lost, and the demo would wait for what it said."""

    def speak() -> None:
        for _ in range(2000):
            say(ready=True)

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"ready": True}] * 8000


def test_a_process_whose_client_waits_for_ever_ends_after_the_demo() -> None:
    """The embedded broker goes with the demo, and a client may have just begun to join its group."""
    program = "import time; from mqtrace.cli.demo.stage import stop_event; stop_event(); time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, timeout=20, check=False)
    assert done.returncode == 1
