"""``mqtrace schema``: what to run in a database so that it is filled from the span topic."""

from __future__ import annotations

import argparse
import re

from mqtrace.flow.clickhouse.schema import PROTO, text

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Prints the SQL and the .proto with which ClickHouse reads the span topic itself, into the table otel_traces that the
OpenTelemetry Collector writes too. It changes nothing."""
_EPILOG = """\
examples:
  mqtrace schema clickhouse --proto > /var/lib/clickhouse/format_schemas/otlp_traces.proto
  mqtrace schema clickhouse --kafka kafka:9092 | clickhouse-client --multiquery
"""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its arguments."""
    parser = commands.add_parser(
        "schema",
        help="print what makes ClickHouse read the span topic",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", choices=["clickhouse"], help="which database it is for")
    parser.add_argument(
        "--kafka", type=_address_or_topic, default="localhost:9092", metavar="HOST:PORT", help="the broker"
    )
    parser.add_argument("--topic", type=_address_or_topic, default="otlp_spans", help="the span topic (otlp_spans)")
    parser.add_argument("--into", type=_name, default="otel", metavar="NAME", help="the database to make (otel)")
    parser.add_argument("--proto", action="store_true", help="print the .proto alone")
    parser.set_defaults(run=run)


def _address_or_topic(typed: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:,\[\]-]{1,500}", typed):
        raise argparse.ArgumentTypeError(f"{typed!r} has characters that no address and no topic has")
    return typed


def _name(typed: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", typed):
        raise argparse.ArgumentTypeError(f"{typed!r} is not the name of a database: write letters, digits and _")
    return typed


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    print(PROTO if options.proto else text(options.kafka, options.topic, options.into), end="")
    return 0
