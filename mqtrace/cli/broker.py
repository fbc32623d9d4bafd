"""``mqtrace broker``: an embedded Kafka to try things out with, where there is no other."""

from __future__ import annotations

import argparse
import signal
import threading

from . import terminal
from .trouble import CommandError

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Runs librdkafka's embedded Kafka on a free port of 127.0.0.1 until Ctrl-C, and prints the line that tells a shell where
it is. It makes topics when asked about them, and keeps the last messages of each in memory until it ends.
"""
_EPILOG = """\
example:
  mqtrace broker                          in one terminal, and in another, with the line that it printed:
  export KAFKA_BOOTSTRAP=127.0.0.1:PORT
  mqtrace tail kafka://$KAFKA_BOOTSTRAP/otlp_spans
"""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    commands.add_parser(
        "broker",
        help="run an embedded Kafka, in memory, to try things out with",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    try:
        from .demo.broker import embedded
    except ImportError as error:
        sentence = "the embedded Kafka is confluent-kafka's, which is missing: pip install 'mqtrace[kafka]'"
        raise CommandError(sentence) from error
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        owner, bootstrap = embedded()
        print(f"export KAFKA_BOOTSTRAP={bootstrap}", flush=True)
        terminal.say("this broker runs until Ctrl-C")
        while not stop.wait(0.5):
            owner.poll(0)
    except KeyboardInterrupt:
        pass  # how it is meant to end
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
