"""The sampler of an argument, or of the environment.

OpenTelemetry, "Environment Variable Specification": OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .parent_based import ParentBased, sampler_of
from .protocol import Sampler

__all__ = ["from_argument", "from_environment"]

_NAMES: Final = ("always_on", "always_off", "traceidratio")


def from_argument(value: object) -> ParentBased | Sampler:
    """A rate as a parent-based sampler, a sampler as it is; ConfigurationError for anything else."""
    if isinstance(value, ParentBased):
        return value
    sampler = sampler_of(value, "sampler")
    return sampler if sampler is value else ParentBased(sampler)


def from_environment(environ: Mapping[str, str], warn: Callable[[str], None]) -> ParentBased | None:
    """The sampler of OTEL_TRACES_SAMPLER; None if it is unset, or invalid, which is one warning."""
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not name:
        return None
    root_name = name.removeprefix("parentbased_")
    if root_name not in _NAMES:
        names = ", ".join((*_NAMES, *(f"parentbased_{known_name}" for known_name in _NAMES)))
        warn(f"OTEL_TRACES_SAMPLER={name!r} is unknown (known: {names}): every trace is recorded")
        return None
    root: Any = 1.0 if root_name == "always_on" else 0.0
    if root_name == "traceidratio":
        root = _ratio(environ, warn)
    sampler = sampler_of(root, "sampler")
    if root_name != name:
        return ParentBased(sampler)
    return ParentBased(sampler, remote_sampled=sampler, remote_not_sampled=sampler)


def _ratio(environ: Mapping[str, str], warn: Callable[[str], None]) -> float:
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if not text:
        return 1.0
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    warn(f"OTEL_TRACES_SAMPLER_ARG={text!r} is not a number from 0 to 1: 1 is used")
    return 1.0
