"""The command itself: what it says of itself, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mqtrace
from mqtrace.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"mqtrace {mqtrace.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], ["demo", "tail", "mqtrace.wrap"]),
        (["demo", "--help"], ["--bootstrap HOST:PORT", "--orders N", "exit status"]),
        (["tail", "--help"], ["--errors", "--slower-than MS", "--from-beginning", "exit status"]),
    ],
)
def test_help(arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    said = capsys.readouterr().out
    assert all(text in said for text in shown)


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["tail"], ["tail", "kafka://h/t", "--limit", "0"], ["demo", "--orders", "-1"]]
    + [["tail", "kafka://h/t", "--quiet-seconds", number] for number in ("0", "nan", "inf", "-1", "x")],
)
def test_wrong_arguments_are_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: mqtrace" in capsys.readouterr().err


def test_a_program_may_follow_two_hyphens() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mqtrace", "run", "--", sys.executable, "-c", "print(7)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")


@pytest.mark.parametrize("arguments", [[], ["--"], [""]])
def test_no_program_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *arguments]) == 2
    assert "usage: mqtrace run" in capsys.readouterr().out


def test_it_helps_without_rich() -> None:
    code = (
        "import sys\n"
        "sys.modules['rich'] = None\n"
        "from mqtrace.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    sys.exit(end.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a file on a disk that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_that_is_full_is_one_sentence(tmp_path: Path, options: list[str]) -> None:
    spans = tmp_path / "spans.jsonl"
    tracer = mqtrace.Tracer("shop", exporter=f"file://{spans}")
    tracer.start_span("POST /order").end()
    assert tracer.shutdown()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mqtrace", "traces", f"file://{spans}", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "mqtrace: the output cannot be written: No space left on device\n")
