"""What a propagation format is: it reads its headers into a context, and writes a context into its headers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Frame

__all__ = ["MalformedContext", "Propagator"]


class MalformedContext(ValueError):
    """Headers of a format are there, and break its rules.

    ``context``: what could be read all the same (a trace whose ``tracestate`` is bad), or None for nothing.
    """

    def __init__(self, reason: str, context: Context | None = None) -> None:
        super().__init__(reason)
        self.context = context


@runtime_checkable
class Propagator(Protocol):
    """One format. Stateless: one object serves every thread.

    ``name``: as in OTEL_PROPAGATORS. ``fields``: the headers that it reads and writes; :meth:`extract` is only
    called for a message that has one of them (for every message, where ``fields`` is empty).

    The formats here have a ``prefix`` too: of the names that are read beside ``fields``, or None. One that has it is
    given these headers alone, which a :class:`Composite` finds in one pass for all of them.
    """

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    def extract(self, carrier: Carrier, context: Context) -> Context:
        """``context`` with what the headers say over it; ``context`` itself where they are absent.

        Raises :class:`MalformedContext` where they are there and broken.
        """
        ...

    def inject(self, carrier: Carrier, context: Frame) -> None:
        """Write the context, in place of what the format's headers said. Without an identity: no trace headers."""
        ...
