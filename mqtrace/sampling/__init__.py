"""Sampling: which traces are recorded.

It is decided once, at the root, before a span exists. A built-in sampler that decides by the trace id alone has a
threshold, and none of its code is called; see :mod:`mqtrace.sampling.protocol` for a sampler of your own.
"""

from __future__ import annotations

from . import rules
from .adaptive import Adaptive
from .arguments import from_argument, from_environment
from .constant import Always, Never
from .parent_based import ParentBased
from .probability import Probability
from .protocol import Sampler
from .rate_limit import RateLimit
from .rules import Rule

__all__ = [
    "Adaptive",
    "Always",
    "Never",
    "ParentBased",
    "Probability",
    "RateLimit",
    "Rule",
    "Sampler",
    "from_argument",
    "from_environment",
    "rules",
]
