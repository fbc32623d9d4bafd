"""The demo's topics on a broker that others use: of names that nobody else has, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__

from mqtrace.cli.trouble import CommandError

__all__ = ["borrowed"]

_PARTITIONS: Final = 4
_DEFAULT_REPLICAS: Final = -1


@contextmanager
def borrowed(bootstrap: str, names: Sequence[str]) -> Iterator[None]:
    """Topics while the block runs. CommandError where no broker answers, or it refuses."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        admin.list_topics(timeout=5)
    except KafkaException as error:
        raise CommandError(
            f"no Kafka broker answers at {bootstrap}: start one, or leave --bootstrap out for the embedded one"
        ) from error
    try:
        made = admin.create_topics([NewTopic(name, _PARTITIONS, _DEFAULT_REPLICAS) for name in names])
        for result in made.values():
            result.result(timeout=10)
    except KafkaException as error:
        raise CommandError(f"the broker at {bootstrap} made no topic: {error.args[0].str()}") from error
    try:
        yield
    finally:
        with suppress(KafkaException, TimeoutError):
            for result in admin.delete_topics(list(names)).values():
                result.result(timeout=10)
