"""``mqtrace demo``: a small shop of several processes, and the traces that it leaves.

shop.py is the shop, to be read as an example; runner.py runs it; check.py says whether a trace is broken.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from mqtrace.cli import terminal
from mqtrace.cli.tail import write_json
from mqtrace.cli.trouble import CommandError

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Runs a small shop as processes: a front that takes orders, a worker that charges them, a consumer that ships in batches,
an asyncio service that writes to the customers, where aiokafka is installed, and a Celery worker that sends receipts,
where Celery is. Their traces cross Kafka and Celery, leave on a span topic, and are read back, checked and drawn here.
Where OpenTelemetry's SDK is installed, the front's requests are its spans, as with a web framework that it instruments.

Without --bootstrap it starts a broker of its own, in memory, which is gone afterwards. On a broker of yours it makes
topics and groups named demo-..., and deletes them at the end. With --amqp the receipts go on through a RabbitMQ of
yours, and some come back as dead letters; its queues named demo-... are deleted at the end.
"""
_EPILOG = "exit status: 0, or 1 when a trace is broken or a span was lost, or 2 when the demo could not run"
_ORDERS: Final = 100
_TIMEOUT: Final = 60.0


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = commands.add_parser(
        "demo",
        help="run a small traced shop, and draw its traces",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="a Kafka broker that is running")
    parser.add_argument("--amqp", metavar="URL", help="a RabbitMQ that is running: amqp://user:password@host:5672/")
    parser.add_argument(
        "--orders", type=terminal.whole, default=_ORDERS, metavar="N", help=f"orders to make ({_ORDERS})"
    )
    parser.add_argument(
        "--timeout", type=terminal.positive, default=_TIMEOUT, metavar="S", help=f"seconds for all of it ({_TIMEOUT:g})"
    )
    parser.add_argument(
        "--json", action="store_true", help="every trace as a JSON object on a line, and the summary on the last one"
    )
    parser.add_argument("--ui", action="store_true", help="open the page on what it saw, until Ctrl-C")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    try:
        from . import check, sums
        from .extra_stages import extra_stages
        from .runner import SHOP, Runner
    except ModuleNotFoundError as error:
        raise CommandError(f"the demo needs {error.name}, which is missing: pip install 'mqtrace[demo]'") from error

    console = None if options.json else terminal.console()
    with _ended_cleanly(), extra_stages(options.amqp) as more, _progress(console) as progress:
        hops = (*SHOP, *more.hops)
        outcome = Runner(options.bootstrap, options.orders, options.timeout, progress, hops, more.options).run()
    broken = check.problems_of_traces(outcome.traces)
    sent, received = sum(outcome.sent.values()), sum(outcome.received.values())
    foreign_spans = sum(outcome.foreign_spans.values())
    problems = check.problems_of_counts(outcome.stats, outcome.traces, sent, received, foreign_spans)
    if console is None:
        for trace in outcome.traces:
            write_json(trace)
        print(json.dumps({"summary": sums.summary(outcome, broken, problems)}), flush=True)
    else:
        from . import report  # draws with rich, which only the extra installs

        report.draw(console, outcome, broken, problems, more.left_out)
    if options.ui:
        from . import questions

        questions.page(outcome.traces)
    return 1 if broken or problems else 0


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: its processes by their pids, its topics on a broker of others'."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(console: Any) -> Iterator[Any]:
    """A line that changes while the demo works; without a terminal, nothing."""
    if console is not None and console.is_terminal:
        with console.status("") as status:
            yield status.update
    else:
        steps_said: list[str] = []

        def say(doing: str) -> None:
            step = doing.partition(":")[0]
            if step not in steps_said and sys.stderr.isatty():
                steps_said.append(step)
                terminal.say(step)

        yield say
