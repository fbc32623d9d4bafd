"""The demo's topics and groups on a broker that others use: their names are unique, and they are deleted afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__

from mqtrace.cli.trouble import CommandError

__all__ = ["borrowed"]

_PARTITIONS: Final = 4
_DEFAULT_REPLICAS: Final = -1
# Seconds for a request.
_PATIENCE: Final = 5.0


@contextmanager
def borrowed(bootstrap: str, names: Sequence[str], groups: Sequence[str]) -> Iterator[None]:
    """Topics while the block runs; ``groups`` that formed meanwhile go with them.

    CommandError if no broker answers, or it refuses.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        admin.list_topics(timeout=5)
    except KafkaException as error:
        raise CommandError(
            f"no Kafka broker answers at {bootstrap}: start one, or leave --bootstrap out for the embedded one"
        ) from error
    can_be_deleted = _make(admin, bootstrap, names)
    try:
        yield
    finally:
        if can_be_deleted:
            forgotten = [admin.delete_topics(list(names), request_timeout=_PATIENCE)]
            forgotten.append(admin.delete_consumer_groups(list(groups), request_timeout=_PATIENCE))
            for result in (result for results in forgotten for result in results.values()):
                with suppress(KafkaException, TimeoutError):
                    result.result(timeout=2 * _PATIENCE)


def _make(admin: AdminClient, bootstrap: str, names: Sequence[str]) -> bool:
    """Whether they can be deleted again."""
    new_topics = [NewTopic(name, _PARTITIONS, _DEFAULT_REPLICAS) for name in names]
    try:
        for result in admin.create_topics(new_topics, request_timeout=_PATIENCE).values():
            result.result(timeout=2 * _PATIENCE)
    except (KafkaException, TimeoutError) as error:
        # The embedded broker knows no such request; it makes a topic when a producer asks about it, as others may too.
        asker = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
        for name in names:
            if not asker.list_topics(name, timeout=_PATIENCE).topics[name].partitions:
                why = error.args[0].str() if isinstance(error, KafkaException) else "it did not answer"
                raise CommandError(f"the broker at {bootstrap} made no topic: {why}") from error
        return False
    return True
