"""A sampler that follows the parent, with exceptions."""

from __future__ import annotations

import inspect
from typing import Any

from mqtrace.errors import ConfigurationError

from .constant import Always, Never
from .probability import Probability, rate_of
from .protocol import Sampler

__all__ = ["ParentBased", "sampler_of"]


def sampler_of(value: object, name: str) -> Sampler:
    """A rate or a sampler, as a sampler; ConfigurationError for anything else."""
    if isinstance(value, type):
        raise ConfigurationError(f"{name}={value.__name__} is a class: write {value.__name__}(...)")
    sample = getattr(value, "sample", None)
    if inspect.iscoroutinefunction(sample):
        raise ConfigurationError(
            f"{name}, a {type(value).__name__}, has a coroutine for sample(), which nobody would await: "
            "write def sample(trace_id, name, kind, destination, attributes)"
        )
    if callable(sample):
        return value  # type: ignore[return-value]  # it has the one method that makes a sampler
    if isinstance(value, (int, float)):
        rate = rate_of(value, name)
        # 0 and 1 are not probabilities: nothing is written into tracestate
        return Always() if rate == 1 else Never() if rate == 0 else Probability(rate)
    raise ConfigurationError(
        f"{name}={value!r} is not a sampler: write a rate from 0 to 1, or an object of mqtrace.sampling or of your own "
        "with sample(trace_id, name, kind, destination, attributes)"
    )


class ParentBased:
    """Ask ``root`` for new traces, and follow a parent's flag.

    ``remote_sampled``, ``remote_not_sampled``: asked instead for a parent of another process that is (not) sampled;
    None follows its flag. Each is a rate or a sampler.
    """

    __slots__ = ("remote_not_sampled", "remote_sampled", "root")

    def __init__(self, root: Any, *, remote_sampled: Any = None, remote_not_sampled: Any = None) -> None:
        if any(isinstance(one, ParentBased) for one in (root, remote_sampled, remote_not_sampled)):
            raise ConfigurationError("ParentBased within ParentBased decides nothing: write the inner sampler itself")
        self.root = sampler_of(root, "root")
        self.remote_sampled = None if remote_sampled is None else sampler_of(remote_sampled, "remote_sampled")
        self.remote_not_sampled = (
            None if remote_not_sampled is None else sampler_of(remote_not_sampled, "remote_not_sampled")
        )

    def __repr__(self) -> str:
        return (
            f"ParentBased({self.root!r}, remote_sampled={self.remote_sampled!r}, "
            f"remote_not_sampled={self.remote_not_sampled!r})"
        )
