"""Which wrapped consumer a message came from: the message itself does not say.

A wrapped consumer registers its topics when it subscribes or is assigned to. So in nearly every process the topic
identifies the consumer, at no cost a message. Only if consumers of several groups share a topic in one process is that
not enough: then each of them notes what it polled last, and a message is looked up among those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol
from weakref import WeakSet

from mqtrace.core import ForkSafeLock

from .operation import NOTHING_KNOWN, Endpoint, forget

__all__ = ["Source", "add", "drop", "endpoint_of", "is_readable", "is_shared"]


class Source(Protocol):
    """A wrapped consumer."""

    endpoint: Endpoint
    #: Literal names, and patterns that start with ^ (librdkafka's rule for a regular expression).
    topics: set[str]

    def came(self, message: object) -> bool:
        """Whether the consumer's last call returned this message."""
        ...

    def note(self) -> None:
        """Note from now on what each call returns: a topic is shared with another group."""


# Syntax that POSIX reads differently from Python, now or later: Python warns of the last four, in the user's name.
_POSIX: Final = ("[:", "[.", "[=", "[[", "--", "&&", "~~", "||")
_sources: WeakSet[Source] = WeakSet()
_shared: set[str] = set()
_guard = ForkSafeLock()


def add(source: Source, topics: Iterable[str]) -> None:
    """Note that a consumer reads these topics from now on."""
    with _guard.lock:
        source.topics = set(topics)
        _sources.add(source)
        names = {topic for one in _sources for topic in one.topics}
        affected = set(source.topics)
        for topic in names:
            readers = [one for one in _sources if _reads(one, topic)]
            if len({one.endpoint for one in readers}) > 1:
                _shared.add(topic)
                affected.add(topic)
                for one in readers:
                    one.note()
    # The templates of these topics may have the attributes of another consumer.
    forget(affected)


def drop(source: Source) -> None:
    """Note that a consumer is closed."""
    with _guard.lock:
        _sources.discard(source)
        for topic in list(_shared):
            if len({one.endpoint for one in _sources if _reads(one, topic)}) < 2:
                _shared.discard(topic)


def is_shared(topic: str) -> bool:
    """Whether consumers of several groups read this topic, so that each message must be looked up."""
    return topic in _shared


def endpoint_of(message: object, topic: str | None) -> Endpoint:
    """The endpoint of a message's consumer; :data:`NOTHING_KNOWN` if none is wrapped, or several may be it."""
    with _guard.lock:
        readers = [one for one in _sources if topic is None or _reads(one, topic)]
    if len({one.endpoint for one in readers}) == 1:
        return readers[0].endpoint
    for reader in readers:
        if reader.came(message):
            return reader.endpoint
    return NOTHING_KNOWN


def is_readable(topic: object) -> bool:
    """Whether a name or a pattern means to Python what it means to librdkafka: it has no syntax of POSIX only."""
    if not isinstance(topic, str) or not topic.startswith("^"):
        return True
    if any(sign in topic for sign in _POSIX):
        return False
    try:
        re.compile(topic)
    except re.error:
        return False
    return True


def _reads(source: Source, topic: str) -> bool:
    if topic in source.topics:
        return True
    for pattern in source.topics:
        if pattern.startswith("^") and is_readable(pattern) and re.match(pattern, topic):
            return True
    return False
