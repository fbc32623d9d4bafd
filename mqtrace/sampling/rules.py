"""Rules by destination: a rate of its own, no spans at all, or another relation to the message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Any, Literal

from mqtrace.errors import ConfigurationError

from .parent_based import ParentBased, sampler_of

__all__ = ["Rule", "first", "from_argument"]


class Rule:
    """What holds for the destinations that match a glob (``orders.*``; case counts).

    ``rate``: a rate or sampler for the roots there. ``ignore``: make no spans; contexts still pass. ``relation``: of
    process spans to their message, "parent" or "link".
    """

    __slots__ = ("_matches", "destination", "ignore", "rate", "relation")

    def __init__(
        self,
        destination: str,
        *,
        rate: Any = None,
        ignore: bool = False,
        relation: Literal["parent", "link"] | None = None,
    ) -> None:
        if not isinstance(destination, str) or not destination:
            raise ConfigurationError(f"destination={destination!r} is not a glob: write text such as 'orders.*'")
        if relation not in (None, "parent", "link"):
            raise ConfigurationError(f"relation={relation!r} is unknown: write 'parent' or 'link'")
        if isinstance(rate, ParentBased):
            raise ConfigurationError("a rule's rate is for roots: write the sampler without ParentBased")
        self.destination = destination
        self.rate = None if rate is None else sampler_of(rate, "rate")
        self.ignore = bool(ignore)
        self.relation: Literal["parent", "link"] | None = relation
        self._matches = re.compile(translate(destination)).match

    def matches(self, destination: str) -> bool:
        """Whether this rule is for a destination."""
        return self._matches(destination) is not None

    def __repr__(self) -> str:
        return f"Rule({self.destination!r}, rate={self.rate!r}, ignore={self.ignore}, relation={self.relation!r})"


def first(rules: Iterable[Rule], destination: str) -> Rule | None:
    """The first rule that matches a destination."""
    return next((rule for rule in rules if rule.matches(destination)), None)


def from_argument(value: object) -> tuple[Rule, ...]:
    """Rules from a sequence of them, or from a mapping of glob to rate or ``"ignore"``. ConfigurationError else."""
    if isinstance(value, Mapping):
        return tuple(
            Rule(glob, ignore=True) if rate == "ignore" else Rule(glob, rate=rate) for glob, rate in value.items()
        )
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        rules = tuple(value)
        if all(isinstance(rule, Rule) for rule in rules):
            return rules
    raise ConfigurationError(f"rules={value!r} are not: write [Rule('orders.*', rate=0.1)] or {{'orders.*': 0.1}}")
