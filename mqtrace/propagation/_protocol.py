"""What a propagation format is: it reads its headers into a context, and writes a context into its headers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Frame

__all__ = ["MalformedContext", "Propagator"]


class MalformedContext(ValueError):
    """A message has headers of a format that break its rules.

    ``context``: what could be read all the same (a trace whose ``tracestate`` is malformed); None if nothing could.
    """

    def __init__(self, reason: str, context: Context | None = None) -> None:
        super().__init__(reason)
        self.context = context


@runtime_checkable
class Propagator(Protocol):
    """One format. Stateless: one object serves every thread.

    ``name``: as in OTEL_PROPAGATORS. ``fields``: the headers that it reads and writes; :meth:`extract` is only
    called for a message that has one of them (for every message, if ``fields`` is empty).

    The formats of this package also have a ``prefix``: names that begin with it are read beside ``fields``; None: no
    others are. A format with this attribute is given only these headers, which a :class:`Composite` looks up in one
    pass for all formats.
    """

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    def extract(self, carrier: Carrier, context: Context) -> Context:
        """``context`` updated by the headers; ``context`` itself if the message has none of them.

        Raises :class:`MalformedContext` if they are malformed.
        """
        ...

    def inject(self, carrier: Carrier, context: Frame) -> None:
        """Write the context over the format's headers. Without an identity no trace headers are written."""
        ...
