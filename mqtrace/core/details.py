"""What only some spans have: attributes of their own, events, links, an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from .attributes import Attribute, weight_of
from .context import Context, Frame

__all__ = ["STATUS_CODES", "Details", "Event", "Link", "Status"]

# Bytes of an event and of a link without their texts and attributes: the tuple, the context, the identity.
EVENT: Final = 300
LINK: Final = 300

Status = Literal["unset", "ok", "error"]
#: StatusCode of opentelemetry/proto/trace/v1/trace.proto.
STATUS_CODES: Final[Mapping[Status, int]] = {"unset": 0, "ok": 1, "error": 2}


class Event(NamedTuple):
    """Something that happened within a span. ``timestamp``: ns since the epoch."""

    name: str
    timestamp: int
    attributes: Mapping[str, Attribute]
    #: How many more it was given than may be kept.
    dropped_attributes: int = 0


class Link(NamedTuple):
    """Another span that this one has to do with."""

    context: Context
    attributes: Mapping[str, Attribute]
    #: How many more it was given than may be kept.
    dropped_attributes: int = 0
    #: Whether the other span is another process's, or may be; False for one that was linked as a span of ours.
    remote: bool = True


class Details:
    """What only some spans have."""

    __slots__ = (
        "attributes",
        "description",
        "dropped_attributes",
        "dropped_events",
        "dropped_links",
        "end_time",
        "events",
        "links",
        "start_time",
        "status",
        "weight",
    )

    def __init__(self, weight: int = 0) -> None:
        self.attributes: dict[str, Attribute] = {}
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.status: Status = "unset"
        self.description: str | None = None
        self.dropped_attributes = 0
        self.dropped_events = 0
        self.dropped_links = 0
        #: Bytes, about: what the span keeps in memory by these, and what it was started with (``weight``).
        self.weight = weight
        #: The user's own times, ns since the epoch: they stay what they are when the system's clock is set.
        self.start_time: int | None = None
        self.end_time: int | None = None

    def add_event(self, event: Event) -> None:
        """Keep an event, and its weight."""
        self.events.append(event)
        self.weight += EVENT + event.name.__sizeof__() + weight_of(event.attributes)

    def add_link(self, frame: Frame, attributes: Mapping[str, Attribute], dropped_attributes: int = 0) -> None:
        """Keep a link to this frame, and its weight. A link has no use for baggage."""
        to = Context(frame.identity, frame.state, None, "flag", frame.remote)
        self.links.append(Link(to, attributes, dropped_attributes, frame.remote))
        state = 0 if frame.state is None else frame.state.__sizeof__()
        self.weight += LINK + state + (weight_of(attributes) if attributes else 0)
