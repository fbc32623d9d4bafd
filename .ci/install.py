"""Install the checkout with an extra, and say how far it is: python .ci/install.py demo. For the Makefile.

pip says every package and every wheel, or nothing for most of a minute; this says the package at hand and the time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

#: Seconds on a cold cache, to be told before: measured on two cores and a good line.
USUAL = {"demo": "about a minute", "test": "two minutes", "bench": "two minutes"}
_AT_HAND = re.compile(r"\s*(?:Collecting ([\w.-]+)|Installing collected packages)")


def main(extra: str) -> int:
    """Install ``.[extra]`` into the environment of this interpreter; pip's exit status."""
    usual = USUAL.get(extra, "a minute or two")
    print(f"Installing what `make {extra}` needs into {sys.prefix}, once: {usual}.", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    # setuptools warns that an editable installation is one
    environment = {**os.environ, "PYTHONWARNINGS": "ignore:Editable installation", "PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    said: list[str] = []
    with subprocess.Popen(
        [*command, "--editable", f".[{extra}]"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line)
            if found := _AT_HAND.match(line):
                _say(f"{time.monotonic() - began:4.0f} s  {found[1] or 'writing them to disk'}")
    if pip.returncode:
        print("".join(said[-40:]), file=sys.stderr)
    else:
        _say(f"{time.monotonic() - began:4.0f} s  done", last=True)
    return pip.returncode


def _say(text: str, *, last: bool = False) -> None:
    """A line that is written over where somebody watches, and one a package elsewhere."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="\n" if last else "", flush=True)
    else:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
