"""What every client shares: operations and their templates, the adapters of messages, the context in the headers.

A client maps native calls to these. The parts for clients of one broker are in kafka.py and amqp.py; handlers.py and
each.py handle the messages of every client.

Names and attributes: OpenTelemetry semantic conventions 1.44, messaging.
"""

from __future__ import annotations

from .adapters import MessageAdapter, register, register_part, registry_of
from .attributes import DESTINATION
from .batch import Batch, start_batch
from .headers import carry
from .operation import NOTHING_KNOWN, Endpoint, Operation, OperationType, as_text, forget
from .run import close, end

__all__ = [
    "DESTINATION",
    "NOTHING_KNOWN",
    "Batch",
    "Endpoint",
    "MessageAdapter",
    "Operation",
    "OperationType",
    "as_text",
    "carry",
    "close",
    "end",
    "forget",
    "register",
    "register_part",
    "registry_of",
    "start_batch",
]
