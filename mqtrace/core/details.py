"""What only some spans have: attributes that the user set, events, links, a status."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from .attributes import Attribute, weight_of
from .context import Context, Frame

__all__ = ["NO_ATTRIBUTES", "STATUS_CODES", "Details", "Event", "Link", "OuterLink", "Status"]

# Bytes of an event and of a link without their texts and attributes: the tuple, the context, the identity.
EVENT: Final = 300
LINK: Final = 300

#: The attributes of a link or an event without any.
NO_ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType({})

Status = Literal["unset", "ok", "error"]
#: StatusCode of opentelemetry/proto/trace/v1/trace.proto.
STATUS_CODES: Final[Mapping[Status, int]] = {"unset": 0, "ok": 1, "error": 2}


class Event(NamedTuple):
    """Something that happened within a span. ``timestamp``: ns since the epoch."""

    name: str
    timestamp: int
    attributes: Mapping[str, Attribute]
    #: How many attributes were dropped because of the limit.
    dropped_attributes: int = 0


class Link(NamedTuple):
    """A link to another span."""

    context: Context
    attributes: Mapping[str, Attribute]
    #: How many attributes were dropped because of the limit.
    dropped_attributes: int = 0
    #: Whether the other span is, or may be, another process's; False for a span of this process.
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
        #: About how many bytes these keep in memory, beginning with ``weight``.
        self.weight = weight
        #: Times that the user passed, ns since the epoch. They do not change when the system's clock is set.
        self.start_time: int | None = None
        self.end_time: int | None = None

    def add_event(self, event: Event) -> None:
        """Append an event, and add its weight."""
        self.events.append(event)
        self.weight += EVENT + event.name.__sizeof__() + weight_of(event.attributes)

    def add_link(self, frame: Frame, attributes: Mapping[str, Attribute], dropped_attributes: int = 0) -> None:
        """Append a link to this frame, without its baggage, and add its weight."""
        state, remote = frame.state, frame.remote  # once: they are properties of another tracer's frame
        self.links.append(
            Link(Context(frame.identity, state, None, "flag", remote), attributes, dropped_attributes, remote)
        )
        self.weight += LINK
        if state is not None:
            self.weight += state.__sizeof__()
        if attributes:
            self.weight += weight_of(attributes)


class OuterLink:
    """The details of a process span inside another span, as long as the link to that is all that they hold.

    Read like :class:`Details`; to write, take :meth:`unfolded`. Details with one link are six objects for the garbage
    collector to look through, which cost more than the span; this is one.
    """

    __slots__ = ("identity", "remote", "state")

    attributes: Final[Mapping[str, Attribute]] = NO_ATTRIBUTES
    events: Final[tuple[Event, ...]] = ()
    status: Final[Status] = "unset"
    description: Final = None
    dropped_attributes: Final = 0
    dropped_events: Final = 0
    dropped_links: Final = 0
    start_time: Final = None
    end_time: Final = None
    #: Without a state of 512 characters or fewer: that is not weighed on a span either.
    weight: Final = LINK

    def __init__(self, identity: bytes, frame: Frame) -> None:
        self.identity = identity
        self.state = frame.state
        self.remote = frame.remote

    @property
    def links(self) -> tuple[Link, ...]:
        """The one link."""
        return (Link(Context(self.identity, self.state, None, "flag", self.remote), NO_ATTRIBUTES, 0, self.remote),)

    def unfolded(self) -> Details:
        """The same as :class:`Details`, which can be written to."""
        details = Details()
        details.add_link(self.links[0].context, NO_ATTRIBUTES)
        return details
