"""Several formats as one. Reading never raises, whatever a message holds: malformed headers are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from mqtrace.carriers import Carrier, find
from mqtrace.core import EMPTY, Context, Frame

from ._protocol import MalformedContext, Propagator
from .baggage import Baggage
from .tracecontext import TraceContext

__all__ = ["Composite"]

#: Bit 1 of the flags: the trace id is random.
_RANDOM: Final = 2


def _completed(first: Context, second: Context) -> Context:
    """The first format's context, completed by the second's of the same span.

    Only ``tracecontext`` has a tracestate (with a sampler's threshold and our send time in it) and the random flag.
    """
    identity, state = first.identity, first.state
    if identity is not None and second.identity is not None and identity[:53] == second.identity[:53]:
        state = state or second.state
        identity = b"%b%02x" % (identity[:53], int(identity[53:], 16) | int(second.identity[53:], 16) & _RANDOM)
    return Context(identity, state, second.baggage, first.decision)


class _HeaderTexts:
    """The headers that the formats read, found in one pass over the message's headers. A carrier to read from."""

    __slots__ = ("_texts",)

    def __init__(self, texts: dict[str, str | None]) -> None:
        self._texts = texts

    def get(self, name: str) -> str | None:
        return self._texts.get(name)

    def names(self) -> list[str]:
        return list(self._texts)

    def set(self, name: str, value: str) -> None:
        raise NotImplementedError("a format reads, and changes nothing")

    def remove(self, name: str) -> None:
        raise NotImplementedError("a format reads, and changes nothing")


class Composite:
    """Reads every format, writes every format. The trace is that of the first format that has one; baggage is merged.

    If a later format names the same span, its tracestate and random flag complete the first one's context.

    ``on_malformed``: called once for each message in which a format's headers are malformed.
    """

    __slots__ = ("_prefix", "_readers", "_wanted", "fields", "formats", "on_malformed")

    #: A composite has a format's attributes, so that it may be part of another.
    name = "composite"

    def __init__(self, formats: Iterable[Propagator] = (), on_malformed: Callable[[], None] | None = None) -> None:
        self.formats: tuple[Propagator, ...] = tuple(formats)
        self.fields: tuple[str, ...] = tuple(dict.fromkeys(field for each in self.formats for field in each.fields))
        self.on_malformed = on_malformed
        # names of a carrier without case are in lowercase
        self._readers = tuple(
            (
                frozenset([*each.fields, *(field.lower() for field in each.fields)]),
                each,
                hasattr(each, "prefix"),
            )
            for each in self.formats
        )
        self._wanted = frozenset(field for fields, _, _ in self._readers for field in fields)
        #: Of the formats here only Jaeger has a prefix.
        self._prefix: str | None = next(filter(None, (getattr(each, "prefix", None) for each in self.formats)), None)

    @property
    def is_w3c(self) -> bool:
        """Whether a context is W3C's headers and nothing else, so that a client may read and write them by itself."""
        kinds = {type(each) for each in self.formats}
        return TraceContext in kinds and kinds <= {TraceContext, Baggage}

    def extract(
        self, carrier: Carrier, context: Context = EMPTY, on_malformed: Callable[[], None] | None = None
    ) -> Context:
        """``context`` updated by the headers; ``context`` itself if they hold none."""
        has_trace = malformed = False
        texts: dict[str, str | None] = {}
        try:
            texts = find(carrier, self._wanted, self._prefix)
        except Exception:  # noqa: BLE001 - a user's carrier; nothing from the network may raise into user code
            malformed = True
        headers = _HeaderTexts(texts)
        result = context
        for fields, each, is_ours in () if malformed else self._readers:
            if fields and fields.isdisjoint(texts):
                continue
            try:
                updated = each.extract(headers if is_ours else carrier, result)
            except MalformedContext as error:
                malformed = True
                if error.context is None:
                    continue
                updated = error.context
            except Exception:  # noqa: BLE001 - a user's format or carrier, as above
                malformed = True
                continue
            if has_trace and (updated.identity is not result.identity or updated.decision != result.decision):
                updated = _completed(result, updated)
            elif updated.identity is not None and updated.identity is not context.identity:
                has_trace = True
            elif updated.identity is None and updated.decision != "flag" and result.decision not in ("flag", "defer"):
                # a decision without a trace: the first one holds
                updated = Context(result.identity, result.state, updated.baggage, result.decision)
            result = updated
        if malformed:
            report = on_malformed or self.on_malformed
            if report is not None:
                report()
        return result

    def inject(self, carrier: Carrier, context: Frame) -> None:
        """Write the context in every format."""
        for each in self.formats:
            try:
                each.inject(carrier, context)
            except Exception:  # noqa: BLE001 - a user's format or carrier must not cost the user a message
                continue

    def __repr__(self) -> str:
        return f"Composite({', '.join(each.name for each in self.formats)})"
