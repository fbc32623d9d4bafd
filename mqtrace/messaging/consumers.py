"""Which wrapped consumer a message came from: the message itself does not say.

A wrapped consumer registers its topics when it subscribes or is assigned to. So in nearly every process the topic
identifies the consumer, at no cost a message. Only if consumers of several groups share a topic in one process is that
not enough: then each of them notes what it polled last, and a message is looked up among those. Where all that read a
topic are closed, a message has what they had in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol
from weakref import WeakSet

from mqtrace.core import ForkSafeLock, keep_recent

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
#: By topic or pattern: what the consumers that have read it have in common, those that are closed included.
_earlier: dict[str, Endpoint] = {}
_MOST_EARLIER: Final = 256
_guard = ForkSafeLock()


def add(source: Source, topics: Iterable[str]) -> None:
    """Note that a consumer reads these topics from now on."""
    with _guard.lock:
        source.topics = set(topics)
        _sources.add(source)
        for topic in source.topics:
            keep_recent(_earlier, topic, _alike([_earlier.get(topic), source.endpoint]), _MOST_EARLIER)
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
        affected = [topic for topic in source.topics if _earlier.get(topic) != source.endpoint]
    # A template of these topics may have the attributes of this consumer, and what is handled now be another's.
    forget(affected)


def is_shared(topic: str) -> bool:
    """Whether consumers of several groups read this topic, so that each message must be looked up."""
    return topic in _shared


def endpoint_of(message: object, topic: str | None) -> Endpoint:
    """The endpoint of a message's consumer; :data:`NOTHING_KNOWN` if none is wrapped, or several may be it.

    If all of them are closed: what they have in common.
    """
    with _guard.lock:
        readers = [one for one in _sources if topic is None or _reads(one, topic)]
        if not readers and topic is not None:
            return _alike([_earlier.get(known) for known in _earlier if _is_read(known, topic)])
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
    return topic in source.topics or any(_is_read(name, topic) for name in source.topics)


def _is_read(name: str, topic: str) -> bool:
    """Whether a consumer of this name, or of this pattern, reads the topic."""
    if not name.startswith("^"):
        return name == topic
    return is_readable(name) and re.match(name, topic) is not None


def _alike(endpoints: Iterable[Endpoint | None]) -> Endpoint:
    """The fields that all of these have in common."""
    different = {one for one in endpoints if one is not None}
    fields = zip(*different, strict=True)
    return Endpoint(*(each[0] if len(set(each)) == 1 else None for each in fields))
