"""librdkafka's mock cluster in a process of its own: prints its address, lives until its input ends."""

from __future__ import annotations

import sys

import confluent_kafka


def main() -> None:
    """Run it."""
    cluster = confluent_kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
