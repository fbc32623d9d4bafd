"""A span of mqtrace as the SDK's ReadableSpan, which is what its exporters and processors read.

It is made with all its attributes: an exporter reads nearly all of them, and a property costs more than an attribute.
What an operation's spans share (resource, scope, kind, flags) is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from mqtrace import core
from mqtrace.version import VERSION

__all__ = ["Converter", "ExportedSpan", "convert_all"]

_KINDS: Final[Mapping[str, SpanKind]] = {kind.name.lower(): kind for kind in SpanKind}
# By the last character of an identity: the flags are two bits, sampled and random.
_FLAGS: Final = {byte: TraceFlags(int(chr(byte), 16)) for byte in b"0123456789abcdef"}
_UNSET: Final = Status(StatusCode.UNSET)
_OK: Final = Status(StatusCode.OK)
_NO_STATE: Final = TraceState()
_SCOPE: Final = InstrumentationScope(core.SCOPE_NAME, VERSION)
_MOST_RESOURCES: Final = 64
_MOST_TEMPLATES: Final = 1024
_SCALARS: Final = frozenset((bool, int, float, bytes))


class ExportedSpan(ReadableSpan):
    """A ReadableSpan with counts of what was dropped, which the SDK's own reads from its own class of lists."""

    # Set on the few spans of which something was dropped.
    dropped: tuple[int, int, int] = (0, 0, 0)

    @property
    def dropped_attributes(self) -> int:
        """Attributes beyond the limit."""
        return self.dropped[0]

    @property
    def dropped_events(self) -> int:
        """Events beyond the limit."""
        return self.dropped[1]

    @property
    def dropped_links(self) -> int:
        """Links beyond the limit."""
        return self.dropped[2]


class _Event(Event):
    dropped = 0

    @property
    def dropped_attributes(self) -> int:
        return self.dropped


class _Link(Link):
    dropped = 0

    @property
    def dropped_attributes(self) -> int:
        return self.dropped


class Converter:
    """``converter(span)``. ``resource``: the one of all spans, in place of each span's own."""

    def __init__(self, resource: Resource | None = None) -> None:
        self._resource = resource
        # By the identity of the mapping that a tracer's spans share, which is kept so that it stays one.
        self._resources: dict[int, tuple[Mapping[str, Any], Resource]] = {}
        # The same of an operation: its name, its kind and its attributes.
        self._templates: dict[int, tuple[core.Template, str, SpanKind, dict[str, Any]]] = {}

    def __call__(self, span: core.Span, kind: type[ExportedSpan] = ExportedSpan) -> Any:
        """A new ``kind``, which is ExportedSpan or a class below it."""
        identity = span.identity
        trace_id = int(identity[3:35], 16)
        state = _state(span.state) if span.state else _NO_STATE
        flags = _FLAGS[identity[54]]
        parent = span.parent
        details = span.details
        links = span.links
        template = span.template
        _, name, their_kind, attributes = self._templates.get(id(template)) or self._template(template)
        attributes = {**attributes, **_attributes(span.slot_attributes())}
        if details is not None and details.attributes:
            attributes.update(_attributes(details.attributes))
        made = kind(
            name,
            SpanContext(trace_id, int(identity[36:52], 16), False, flags, state),
            None
            if parent is None
            else SpanContext(int(parent[3:35], 16), int(parent[36:52], 16), span.parent_remote, flags, state),
            self._resource or self._resource_of(span),
            attributes,
            [_event(event) for event in details.events] if details is not None and details.events else (),
            [_link(link) for link in links] if links else (),
            their_kind,
            None,
            _UNSET if details is None or details.status == "unset" else _status(details),
            span.start_time,
            span.end_time,
            _SCOPE,
        )
        if details is not None and (details.dropped_attributes or details.dropped_events or details.dropped_links):
            made.dropped = (details.dropped_attributes, details.dropped_events, details.dropped_links)
        return made

    def _template(self, template: core.Template) -> tuple[core.Template, str, SpanKind, dict[str, Any]]:
        shared = template, _unicode(template.name), _KINDS[template.kind], _attributes(template.attributes)
        if not template.weight:  # else its name is so long that nobody keeps it
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            self._templates[id(template)] = shared
        return shared

    def _resource_of(self, span: core.Span) -> Resource:
        attributes = span.resource
        shared = self._resources.get(id(attributes))
        if shared is None:
            if len(self._resources) >= _MOST_RESOURCES:
                self._resources.clear()
            shared = self._resources[id(attributes)] = attributes, Resource(attributes)
        return shared[1]


def _unicode(text: str) -> str:
    """What is not Unicode, a lone surrogate, becomes a question mark: protobuf refuses it, with its whole batch."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key if key.isascii() else _unicode(key): value if type(value) in _SCALARS else _value(value)
        for key, value in attributes.items()
    }


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _unicode(value)
    return tuple([_value(item) for item in value]) if isinstance(value, tuple) else value


def _state(text: str) -> TraceState:
    return TraceState.from_header([text])


def _status(details: core.Details | core.OuterLink) -> Status:
    return (
        _OK
        if details.status == "ok"
        else Status(StatusCode.ERROR, details.description and _unicode(details.description))
    )


def _event(event: core.Event) -> Event:
    if not event.dropped_attributes:
        return Event(_unicode(event.name), _attributes(event.attributes), event.timestamp)
    converted = _Event(_unicode(event.name), _attributes(event.attributes), event.timestamp)
    converted.dropped = event.dropped_attributes
    return converted


def _link(link: core.Link) -> Link:
    context = link.context
    identity = context.identity
    assert identity is not None, "add_link refuses a context without a trace"
    state = _state(context.state) if context.state else _NO_STATE
    theirs = SpanContext(int(identity[3:35], 16), int(identity[36:52], 16), link.remote, _FLAGS[identity[54]], state)
    if not link.dropped_attributes:
        return Link(theirs, _attributes(link.attributes))
    made = _Link(theirs, _attributes(link.attributes))
    made.dropped = link.dropped_attributes
    return made


def convert_all(convert: Converter, spans: Sequence[core.Span]) -> tuple[list[Any], int]:
    """The spans that can be converted, and how many cannot."""
    try:
        return [convert(span) for span in spans], 0
    except Exception:  # noqa: BLE001  # one span that cannot be converted must not take the others along
        good = []
        for span in spans:
            try:
                good.append(convert(span))
            except Exception:  # noqa: BLE001  # as above; it is counted by what is missing
                continue
        return good, len(spans) - len(good)
