"""The core in Python: every name of the facade, from the module that defines it."""

from __future__ import annotations

from .attributes import Attribute, Limits, clean, lowered, pairs, text
from .clock import Clock
from .context import EMPTY, SUPPRESSED, Context, Decision, Frame, is_frame
from .current import attach, current_frame, detach, innermost_frame, open_frames, release_baggage, restore, still_open
from .decide import start, start_process_below
from .details import STATUS_CODES, Details, Event, Link, OuterLink, Status
from .encode import SCOPE_NAME, encode_span, request, wrap
from .encode_message import LOCAL as SPAN_FLAGS_LOCAL
from .encode_message import REMOTE as SPAN_FLAGS_REMOTE
from .fork_safe_lock import ForkSafeLock
from .forks import after_fork, notice_fork, prepare_repair
from .identity import LENGTH as TRACEPARENT_LENGTH
from .identity import are_canonical, is_canonical, is_valid, new_span_id, use_randomness
from .identity import reset as forget_ids
from .message_spans import (
    SENT,
    SHORT_TEXTS,
    BatchSpan,
    DescribedProcess,
    DescribedSend,
    MessageSpan,
    Origin,
    ProcessSpan,
    SendBatchSpan,
    SendSpan,
    note_skew,
)
from .noop import NOOP, NoopSpan, current_span
from .pipeline import NO_LIMIT, Counters, Pipeline, Sink
from .recent import keep_recent
from .span import Span, is_time
from .start_message import start_process, start_process_from, start_process_in, start_send, start_unsampled
from .template import KINDS, Decider, Kind, Relation, Template

__all__ = [
    "EMPTY",
    "KINDS",
    "NOOP",
    "NO_LIMIT",
    "SCOPE_NAME",
    "SENT",
    "SHORT_TEXTS",
    "SPAN_FLAGS_LOCAL",
    "SPAN_FLAGS_REMOTE",
    "STATUS_CODES",
    "SUPPRESSED",
    "TRACEPARENT_LENGTH",
    "Attribute",
    "BatchSpan",
    "Clock",
    "Context",
    "Counters",
    "Decider",
    "Decision",
    "DescribedProcess",
    "DescribedSend",
    "Details",
    "Event",
    "ForkSafeLock",
    "Frame",
    "Kind",
    "Limits",
    "Link",
    "MessageSpan",
    "NoopSpan",
    "Origin",
    "OuterLink",
    "Pipeline",
    "ProcessSpan",
    "Relation",
    "SendBatchSpan",
    "SendSpan",
    "Sink",
    "Span",
    "Status",
    "Template",
    "after_fork",
    "are_canonical",
    "attach",
    "clean",
    "current_frame",
    "current_span",
    "detach",
    "encode_span",
    "forget_ids",
    "innermost_frame",
    "is_canonical",
    "is_frame",
    "is_time",
    "is_valid",
    "keep_recent",
    "lowered",
    "new_span_id",
    "note_skew",
    "notice_fork",
    "open_frames",
    "pairs",
    "prepare_repair",
    "release_baggage",
    "request",
    "restore",
    "start",
    "start_process",
    "start_process_below",
    "start_process_from",
    "start_process_in",
    "start_send",
    "start_unsampled",
    "still_open",
    "text",
    "use_randomness",
    "wrap",
]
