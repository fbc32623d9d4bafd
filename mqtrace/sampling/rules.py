"""Rules for destinations or tasks: another rate, no spans at all, or another relation to the message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Any, Final, Literal

from mqtrace.errors import ConfigurationError

from .parent_based import ParentBased, sampler_of

__all__ = ["Rule", "first", "from_argument"]


#: A key of a mapping of rules begins with this if it is a glob for tasks.
_TASK: Final = "task:"


class Rule:
    """What holds for the destinations, or for the Celery tasks, whose name matches a glob (``orders.*``; case counts).

    ``destination`` or ``task``: the glob. ``rate``: a rate or sampler for the roots there. ``ignore``: make no spans;
    contexts still pass. ``relation``: of process spans to their message, "parent" or "link".
    """

    __slots__ = ("_matches", "destination", "ignore", "rate", "relation", "task")

    def __init__(
        self,
        destination: str | None = None,
        *,
        task: str | None = None,
        rate: Any = None,
        ignore: bool = False,
        relation: Literal["parent", "link"] | None = None,
    ) -> None:
        if (destination is None) is (task is None):
            raise ConfigurationError(
                "a rule is for either a destination or a task: write Rule('orders.*') or Rule(task='shop.*')"
            )
        what, glob = ("destination", destination) if task is None else ("task", task)
        if not isinstance(glob, str) or not glob:
            raise ConfigurationError(f"{what}={glob!r} is not a glob: write text such as 'orders.*'")
        if relation not in (None, "parent", "link"):
            raise ConfigurationError(f"relation={relation!r} is unknown: write 'parent' or 'link'")
        if not isinstance(ignore, bool):
            raise ConfigurationError(f"ignore={ignore!r} is unknown: write True or False")
        if isinstance(rate, ParentBased):
            raise ConfigurationError("a rule's rate is for roots: write the sampler without ParentBased")
        self.destination = destination
        self.task = task
        self.rate = None if rate is None else sampler_of(rate, "rate")
        self.ignore = ignore
        self.relation: Literal["parent", "link"] | None = relation
        self._matches = re.compile(translate(glob)).match

    def matches(self, destination: str | None, task: str | None = None) -> bool:
        """Whether this rule is for a destination, or for the task of the message there."""
        name = destination if self.task is None else task
        return name is not None and self._matches(name) is not None

    def __repr__(self) -> str:
        glob = repr(self.destination) if self.task is None else f"task={self.task!r}"
        return f"Rule({glob}, rate={self.rate!r}, ignore={self.ignore}, relation={self.relation!r})"


def first(rules: Iterable[Rule], destination: str | None, task: str | None = None) -> Rule | None:
    """The first rule that matches a destination, or the task of the message there."""
    return next((rule for rule in rules if rule.matches(destination, task)), None)


def from_argument(value: object) -> tuple[Rule, ...]:
    """Rules from a sequence of them, or from a mapping of glob to rate or ``"ignore"``. ConfigurationError else.

    A key ``task:shop.*`` is the glob of tasks' names.
    """
    if isinstance(value, Mapping):
        return tuple(_rule(glob, rate) for glob, rate in value.items())
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        rules = tuple(value)
        if all(isinstance(rule, Rule) for rule in rules):
            return rules
    raise ConfigurationError(
        f"rules={value!r} is not a list of rules: write [Rule('orders.*', rate=0.1)] or {{'orders.*': 0.1}}"
    )


def _rule(key: object, rate: object) -> Rule:
    if isinstance(rate, str) and rate != "ignore":
        raise ConfigurationError(f"rules: {key!r} is {rate!r}: write a rate from 0 to 1, a sampler or 'ignore'")
    named: dict[str, Any] = {"ignore": True} if rate == "ignore" else {"rate": rate}
    if isinstance(key, str) and key.startswith(_TASK):
        return Rule(task=key.removeprefix(_TASK), **named)
    return Rule(key, **named)  # type: ignore[arg-type]  # a wrong key is told by Rule
