"""kombu's filesystem transport, whose messages appear in their folder only when they are whole.

The transport (kombu 5.4 to 5.7) makes a message's file under the name that readers look for, and then writes to it. A
reader that comes in between takes an empty file: the message is lost, and the worker ends. Here a file is written under
another name first.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, filesystem

__all__ = ["BROKER", "Channel", "Transport"]

#: The URL for Celery; the folder is among the transport's options.
BROKER: Final = "mqtrace-folder://"


class Channel(filesystem.Channel):
    """See above."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as the class above
        """Put a message onto a queue: the oldest by name is read first."""
        name = f"{time.monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        unfinished = Path(self.data_folder_out, f"{name}.part")
        unfinished.write_text(json.dumps(payload), "utf-8")
        unfinished.rename(Path(self.data_folder_out, name))


class Transport(filesystem.Transport):
    """See above."""

    Channel = Channel


TRANSPORT_ALIASES[BROKER.removesuffix("://")] = f"{__name__}:Transport"
