"""The context of a trace: which span is current, and what travels with it.

A span's identity is its 55-byte ``traceparent`` (W3C Trace Context level 2, section 3.2). It stays bytes from the
header of one message to that of the next, and is parsed only if somebody reads an id of it.

What may be current is a *frame*: a recording span, a no-op span or a :class:`Context`. All of them have the same
attributes, so the hot path reads them without looking at the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

from .identity import is_canonical

__all__ = ["EMPTY", "SUPPRESSED", "Context", "Decision", "Frame", "is_frame"]

#: How a root, or the child of a remote parent, is decided. ``flag``: by the sampled bit of the identity.
#: ``defer``: by the sampler, because the other side did not decide (B3 without a sampling state).
#: ``accept`` and ``deny``: a decision that came without an identity (B3's single ``1`` and ``0``).
Decision = Literal["flag", "defer", "accept", "deny"]


class Frame(Protocol):
    """What may be current: the parent of the next span."""

    @property
    def identity(self) -> bytes | None: ...
    @property
    def state(self) -> str | None: ...
    @property
    def baggage(self) -> Mapping[str, str] | None: ...
    @property
    def decision(self) -> Decision: ...
    @property
    def ended(self) -> int:
        """Not 0 after the span has ended. Read this first: another tracer's frame updates itself here."""
        ...

    @property
    def remote(self) -> bool:
        """Whether it was read from a message or a request, so that a child's parent is another process's span."""
        ...


def is_frame(value: Any) -> bool:
    """Whether this may be current, or a parent: it has a frame's attributes, and they are valid."""
    try:
        _ = (value.ended, value.decision, value.remote)  # whether they can be read
        identity, state, baggage = value.identity, value.state, value.baggage
    except Exception:  # noqa: BLE001  # any object may be given, and its properties may raise anything
        return False
    return (
        (identity is None or (isinstance(identity, bytes) and bool(is_canonical(identity))))
        and (state is None or isinstance(state, str))
        and (baggage is None or isinstance(baggage, Mapping))
    )


_NO_BAGGAGE: Final[Mapping[str, str]] = MappingProxyType({})


class Context:
    """An immutable trace context: what :meth:`Tracer.extract` returns and :func:`mqtrace.use` takes.

    ``identity``: the traceparent as 55 bytes, or None without a trace.
    ``state``: the text of ``tracestate``, valid, or None. ``baggage``: name -> value, or None.
    ``decision``: see :data:`Decision`. ``remote``: whether it came from another process, as what was extracted did.
    """

    __slots__ = ("baggage", "decision", "identity", "remote", "state")

    ended: int = 0

    identity: bytes | None
    state: str | None
    baggage: Mapping[str, str] | None
    decision: Decision
    remote: bool

    def __init__(
        self,
        identity: bytes | None = None,
        state: str | None = None,
        baggage: Mapping[str, str] | None = None,
        decision: Decision = "flag",
        remote: bool = True,
    ) -> None:
        self.identity = identity
        self.state = state
        self.baggage = baggage
        self.decision = decision
        self.remote = remote

    @classmethod
    def of(cls, frame: Frame) -> Context:
        """The context of whatever is current: a span's, a no-op span's, or the context itself."""
        if isinstance(frame, cls):
            return frame
        return cls(frame.identity, frame.state, frame.baggage, frame.decision, frame.remote)

    def left_elsewhere(self, outer: Frame | None) -> None:
        """See :class:`mqtrace.core.current.Entered`. Only the copy that a block entered changes."""
        new = EMPTY if outer is None else outer
        self.identity, self.state, self.baggage = new.identity, new.state, new.baggage
        self.decision, self.remote = new.decision, new.remote

    @property
    def is_valid(self) -> bool:
        """Whether there is a trace: False for a context that holds baggage at most."""
        return self.identity is not None

    @property
    def trace_id(self) -> str:
        """32 lowercase hex characters; zeros without a trace."""
        return "0" * 32 if self.identity is None else self.identity[3:35].decode("ascii")

    @property
    def span_id(self) -> str:
        """16 lowercase hex characters; zeros without a trace."""
        return "0" * 16 if self.identity is None else self.identity[36:52].decode("ascii")

    @property
    def trace_flags(self) -> int:
        """The flags octet: bit 0 sampled, bit 1 random trace id (Trace Context level 2, section 3.2.2.5)."""
        return 0 if self.identity is None else int(self.identity[53:55], 16)

    @property
    def sampled(self) -> bool | None:
        """Whether the other side records this trace; None if it has not decided."""
        if self.decision == "flag":
            return None if self.identity is None else bool(self.trace_flags & 1)
        return None if self.decision == "defer" else self.decision == "accept"

    @property
    def trace_state(self) -> str:
        """The text of ``tracestate``; empty without one."""
        return self.state or ""

    def with_baggage(self, /, **members: str) -> Context:
        """The same trace with these baggage members added or replaced (W3C Baggage, section 3.2)."""
        merged = {**(self.baggage or _NO_BAGGAGE), **members}
        return Context(self.identity, self.state, MappingProxyType(merged), self.decision, self.remote)

    def replace(self, **slots: Any) -> Context:
        """A copy in which the named slots differ."""
        values = {name: getattr(self, name) for name in Context.__slots__}
        return Context(**{**values, **slots})

    def __reduce__(self) -> tuple[Any, ...]:
        """For a pool's process: a read-only view of baggage cannot be pickled."""
        baggage = None if self.baggage is None else dict(self.baggage)
        return Context, (self.identity, self.state, baggage, self.decision, self.remote)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Context.__slots__)

    def __hash__(self) -> int:
        return hash((self.identity, self.state, self.decision))

    def __repr__(self) -> str:
        shown = (
            self.identity.decode("ascii") if isinstance(self.identity, bytes) else self.identity,
            self.state,
            self.baggage,
            self.decision,
            self.remote,
        )
        return "Context(identity={!r}, state={!r}, baggage={!r}, decision={!r}, remote={!r})".format(*shown)


#: No trace, no baggage.
EMPTY: Final = Context()

#: What is current in the thread that exports: a trace that is not recorded. An exporter may call what is traced.
SUPPRESSED: Final = Context(b"00-" + b"0" * 31 + b"1-" + b"0" * 15 + b"1-00", remote=False)
