"""Questions to the spans: who sends to whom, how long it waits, what failed, what nobody processed.

A :class:`Source` answers them, whatever holds the spans: a topic, a file, a DuckDB file, a running page, ClickHouse.
:class:`Scope` says which spans are asked about. What an answer looks like stands in :mod:`mqtrace.flow.answers`; rows
are plain dicts, ready for ``json.dumps``. :func:`answer` takes a question by its name and its parameters as text, as
they stand in a URL. What cannot be read or asked is a :class:`SourceError` or an :class:`AskError`: one sentence.
"""

from __future__ import annotations

from .answers import (
    ErrorRow,
    FailureRow,
    FlowRow,
    LinkOf,
    Map,
    MissingRow,
    ReceivedRow,
    SentRow,
    State,
    StepRow,
    TraceAnswer,
    TraceRow,
    TraceSpan,
)
from .ask import answer
from .scope import Scope
from .source import STATES, Source, TracesOrder
from .trouble import AskError, SourceError

__all__ = [
    "STATES",
    "AskError",
    "ErrorRow",
    "FailureRow",
    "FlowRow",
    "LinkOf",
    "Map",
    "MissingRow",
    "ReceivedRow",
    "Scope",
    "SentRow",
    "Source",
    "SourceError",
    "State",
    "StepRow",
    "TraceAnswer",
    "TraceRow",
    "TraceSpan",
    "TracesOrder",
    "answer",
]
