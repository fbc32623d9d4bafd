"""A sampler as the core's decider: is this trace recorded?

A sampler with a ``threshold`` is never called on the hot path: the core compares the random end of the trace id with it
(OpenTelemetry, "TraceState: Probability Sampling").
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mqtrace.core import Attribute, Template
from mqtrace.propagation import tracestate

from . import ot_member
from .constant import NONE
from .parent_based import ParentBased
from .protocol import Sampler
from .rules import Rule

__all__ = ["SamplerDecider"]

log = logging.getLogger("mqtrace.sampling")

_is_threshold: Final = re.compile(b"[0-9a-f]{14}").fullmatch


class SamplerDecider:
    """The core's Decider over a sampler. ``root``: a rule's sampler, asked for roots in place of the sampler's own."""

    __slots__ = ("_complained", "_not_sampled", "_root", "_sampled", "follows", "state", "threshold")

    threshold: bytes | None
    state: str | None
    follows: bool

    def __init__(self, sampler: Sampler | ParentBased, root: Sampler | None = None) -> None:
        parents = sampler if isinstance(sampler, ParentBased) else None
        first: Any = root if root is not None else (parents.root if parents is not None else sampler)
        self._root: Sampler = first
        self._sampled = parents.remote_sampled if parents is not None else None
        self._not_sampled = parents.remote_not_sampled if parents is not None else None
        self.threshold = _threshold(first)
        self.state = None if self.threshold is None else _state(first)
        self.follows = self._sampled is None and self._not_sampled is None
        self._complained = False

    def root(self, template: Template, identity: bytes, attributes: Mapping[str, Attribute]) -> bool:
        """Whether a new trace is recorded."""
        return self._ask(self._root, template, identity, attributes)

    def remote(
        self,
        template: Template,
        identity: bytes,
        state: str | None,
        attributes: Mapping[str, Attribute],
        *,
        undecided: bool = False,
    ) -> tuple[bool, str | None] | None:
        """Whether the child of a remote parent is recorded, and its tracestate; None: follow the parent's flag.

        The parent's probability in tracestate does not hold for this decision: it is replaced or removed.
        """
        sampler = self._root if undecided else self._sampled if identity[54] & 1 else self._not_sampled
        if sampler is None:
            return None
        threshold = _threshold(sampler)
        if threshold is None:
            return self._ask(sampler, template, identity, attributes), ot_member.with_threshold(state, None)
        sampled = ot_member.randomness(identity, state) >= threshold
        digits = ot_member.threshold(_state(sampler)) if sampled else None
        return sampled, ot_member.with_threshold(state, digits)

    def _ask(self, sampler: Sampler, template: Template, identity: bytes, attributes: Mapping[str, Attribute]) -> bool:
        try:
            return bool(
                sampler.sample(
                    identity[3:35].decode("ascii"), template.name, template.kind, template.destination, attributes
                )
            )
        except Exception:
            # A user's sampler may raise anything, for every message: it is logged once, and the trace is not recorded.
            if not self._complained:
                self._complained = True
                log.exception("the sampler %r raised; traces that it cannot decide are not recorded", sampler)
            return False

    @staticmethod
    def spending(sampler: Sampler | ParentBased, rules: Sequence[Rule]) -> Callable[[], None] | None:
        """The function to call for a recorded span that no sampler was asked about; None if no sampler counts spans."""
        return _all("spend", sampler, rules)

    @staticmethod
    def learning(sampler: Sampler | ParentBased, rules: Sequence[Rule]) -> Callable[[str | None], None] | None:
        """The function to call with the destination of a span that failed; None if no sampler learns from errors."""
        return _all("failed", sampler, rules)


def _threshold(sampler: object) -> bytes | None:
    """A sampler's threshold; None if it has none, or the attribute is not one."""
    attribute = getattr(sampler, "threshold", None)
    return attribute if isinstance(attribute, bytes) and (_is_threshold(attribute) or attribute == NONE) else None


def _state(sampler: object) -> str | None:
    attribute = getattr(sampler, "state", None)
    return attribute if isinstance(attribute, str) and attribute and tracestate.parse(attribute) == attribute else None


def _all(method: str, sampler: Sampler | ParentBased, rules: Sequence[Rule]) -> Callable[..., None] | None:
    samplers: list[Any] = [sampler]
    if isinstance(sampler, ParentBased):
        samplers = [sampler.root, sampler.remote_sampled, sampler.remote_not_sampled]
    samplers += [rule.rate for rule in rules]
    unique = {id(one): one for one in samplers if one is not None}
    calls = [getattr(one, method) for one in unique.values() if callable(getattr(one, method, None))]
    if not calls:
        return None
    complained: list[Callable[..., None]] = []

    def call_all(*arguments: Any) -> None:
        for call in calls:
            try:
                call(*arguments)
            except Exception:
                # As above: a user's sampler may raise for every span, or have another method of this name.
                if call not in complained:
                    complained.append(call)
                    log.exception("a sampler's %s raised", method)

    return call_all
