"""From a sampler to the core's question: is this trace recorded?

A sampler with a ``threshold`` is never called on the hot path: the core compares the random end of the trace id with it
(OpenTelemetry, "TraceState: Probability Sampling").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mqtrace.core import Attribute, Template

from .parent_based import ParentBased
from .protocol import Sampler
from .rules import Rule

__all__ = ["SamplerDecider"]

log = logging.getLogger("mqtrace.sampling")


class SamplerDecider:
    """The core's Decider over a sampler. ``root``: asked for roots instead of the sampler's own, by a rule."""

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
        self.threshold = getattr(first, "threshold", None)
        self.state = getattr(first, "state", None)
        self.follows = self._sampled is None and self._not_sampled is None
        self._complained = False

    def root(self, template: Template, identity: bytes, attributes: Mapping[str, Attribute]) -> bool:
        """Whether a new trace is recorded."""
        return self._ask(self._root, template, identity, attributes)

    def remote(self, template: Template, identity: bytes, attributes: Mapping[str, Attribute]) -> bool:
        """Whether the child of a remote parent is recorded."""
        flag = bool(identity[54] & 1)
        sampler = self._sampled if flag else self._not_sampled
        return flag if sampler is None else self._ask(sampler, template, identity, attributes)

    def _ask(self, sampler: Sampler, template: Template, identity: bytes, attributes: Mapping[str, Attribute]) -> bool:
        threshold: bytes | None = getattr(sampler, "threshold", None)
        if threshold is not None:
            return identity[21:35] >= threshold
        try:
            return bool(
                sampler.sample(
                    identity[3:35].decode("ascii"), template.name, template.kind, template.destination, attributes
                )
            )
        except Exception:
            # A user's sampler may raise anything, once a message: said once, and the trace is not recorded.
            if not self._complained:
                self._complained = True
                log.exception("the sampler %r raised; traces that it cannot decide are not recorded", sampler)
            return False

    @staticmethod
    def spending(sampler: Sampler | ParentBased, rules: Sequence[Rule]) -> Callable[[], None] | None:
        """What to call for every recorded span that no sampler has just charged; None where none counts spans."""
        return _all("spend", sampler, rules)

    @staticmethod
    def learning(sampler: Sampler | ParentBased, rules: Sequence[Rule]) -> Callable[[str | None], None] | None:
        """What to call with the destination of a span that ended in an error; None where no sampler learns."""
        return _all("failed", sampler, rules)


def _all(method: str, sampler: Sampler | ParentBased, rules: Sequence[Rule]) -> Callable[..., None] | None:
    asked: list[Any] = [sampler]
    if isinstance(sampler, ParentBased):
        asked = [sampler.root, sampler.remote_sampled, sampler.remote_not_sampled]
    asked += [rule.rate for rule in rules]
    unique = {id(one): one for one in asked if one is not None}
    calls = [getattr(one, method) for one in unique.values() if callable(getattr(one, method, None))]
    if not calls:
        return None

    def each(*arguments: Any) -> None:
        for call in calls:
            try:
                call(*arguments)
            except Exception:
                log.exception("a sampler's %s raised", method)

    return each
