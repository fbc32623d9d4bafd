"""What every client shares: operations and their templates, whose message a type is, the context in its headers.

A client maps native calls to these. What the clients of one broker share is in kafka.py and amqp.py, what handlers of
every client's messages share in handlers.py and each.py.

Names and attributes: OpenTelemetry semantic conventions 1.44, messaging.
"""

from __future__ import annotations

from .adapters import MessageAdapter, register, register_part, registry_of
from .attributes import DESTINATION
from .batch import Batch, start_batch
from .headers import carry
from .operation import NOTHING_KNOWN, Endpoint, Operation, OperationType, forget
from .run import close, end

__all__ = [
    "DESTINATION",
    "NOTHING_KNOWN",
    "Batch",
    "Endpoint",
    "MessageAdapter",
    "Operation",
    "OperationType",
    "carry",
    "close",
    "end",
    "forget",
    "register",
    "register_part",
    "registry_of",
    "start_batch",
]
