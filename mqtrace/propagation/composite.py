"""Several formats as one. Whatever a message holds, reading it never raises: malformed headers are counted."""

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
    """What the first format found, with what only the second one can say of the very same span.

    Only ``tracecontext`` has a tracestate (with a sampler's threshold and our send time in it) and the random flag.
    """
    identity, state = first.identity, first.state
    if identity is not None and second.identity is not None and identity[:53] == second.identity[:53]:
        state = state or second.state
        identity = b"%b%02x" % (identity[:53], int(identity[53:], 16) | int(second.identity[53:], 16) & _RANDOM)
    return Context(identity, state, second.baggage, first.decision)


class _Found:
    """The headers that the formats read, looked for in one pass over the message's. A carrier to read from."""

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
    """Reads every format, writes every format. The trace is that of the first format that finds one; baggage is merged.

    Where a later format names the same span, its tracestate and random flag complete what the first one said.

    ``on_malformed``: called once for each message in which a format's headers are malformed.
    """

    __slots__ = ("_asked", "_prefix", "_wanted", "fields", "formats", "on_malformed")

    #: As of a format, so that a composite may be part of another.
    name = "composite"

    def __init__(self, formats: Iterable[Propagator] = (), on_malformed: Callable[[], None] | None = None) -> None:
        self.formats: tuple[Propagator, ...] = tuple(formats)
        self.fields: tuple[str, ...] = tuple(dict.fromkeys(field for each in self.formats for field in each.fields))
        self.on_malformed = on_malformed
        # names of a carrier without case are in lowercase
        self._asked = tuple(
            (frozenset([*each.fields, *(field.lower() for field in each.fields)]), each, hasattr(each, "prefix"))
            for each in self.formats
        )
        self._wanted = frozenset(field for fields, _, _ in self._asked for field in fields)
        #: One of ours has a prefix, Jaeger.
        self._prefix: str | None = next(filter(None, (getattr(each, "prefix", None) for each in self.formats)), None)

    @property
    def is_w3c(self) -> bool:
        """Whether a context is W3C's headers and nothing else, so that a client may read and write them by itself."""
        kinds = {type(each) for each in self.formats}
        return TraceContext in kinds and kinds <= {TraceContext, Baggage}

    def extract(
        self, carrier: Carrier, context: Context = EMPTY, on_malformed: Callable[[], None] | None = None
    ) -> Context:
        """``context`` with what the headers say over it; ``context`` itself where they say nothing."""
        has_trace = malformed = False
        texts: dict[str, str | None] = {}
        try:
            texts = find(carrier, self._wanted, self._prefix)
        except Exception:  # noqa: BLE001 - a user's carrier; nothing from the network may raise into user code
            malformed = True
        headers = _Found(texts)
        result = context
        for fields, each, is_ours in () if malformed else self._asked:
            if fields and fields.isdisjoint(texts):
                continue
            try:
                found = each.extract(headers if is_ours else carrier, result)
            except MalformedContext as error:
                malformed = True
                if error.context is None:
                    continue
                found = error.context
            except Exception:  # noqa: BLE001 - a user's format or carrier, as above
                malformed = True
                continue
            if has_trace and (found.identity is not result.identity or found.decision != result.decision):
                found = _completed(result, found)
            elif found.identity is not None and found.identity is not context.identity:
                has_trace = True
            elif found.identity is None and found.decision != "flag" and result.decision not in ("flag", "defer"):
                # a decision without a trace: the first one holds
                found = Context(result.identity, result.state, found.baggage, result.decision)
            result = found
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
