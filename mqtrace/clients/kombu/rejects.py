"""Which messages were rejected back into their queue: ``reject(requeue=True)`` leaves a message as ``reject()`` does.

The channel is told the difference, so each channel that traced messages came through notes it, by delivery tag. That
costs a message nothing, unless it is rejected; its own ``reject`` in the way would cost every message.
"""

from __future__ import annotations

import functools
from typing import Any, Final
from weakref import WeakKeyDictionary

from mqtrace.core import keep_recent

__all__ = ["note_rejects", "was_requeued"]

# Tags that nobody asked for, because no span of their message lasted: so many are kept a channel.
_KEPT: Final = 1024

# Channel -> delivery tags, the oldest first.
_requeued: WeakKeyDictionary[Any, dict[Any, None]] = WeakKeyDictionary()


def note_rejects(channel: Any) -> None:
    """Have a channel note what it rejects with ``requeue``, from now on."""
    tags: dict[Any, None] = {}
    basic_reject = channel.basic_reject

    @functools.wraps(basic_reject)
    def noted(delivery_tag: Any, *args: Any, **kwargs: Any) -> Any:
        result = basic_reject(delivery_tag, *args, **kwargs)
        _note(tags, delivery_tag, args[0] if args else kwargs.get("requeue"))
        return result

    _requeued[channel] = tags
    channel.basic_reject = noted


def _note(tags: dict[Any, None], tag: Any, requeue: Any) -> None:
    try:
        if not requeue:
            tags.pop(tag, None)  # what came back may have the tag that it had
            return
        keep_recent(tags, tag, None, _KEPT)
    except TypeError:  # a tag without a hash
        pass


def was_requeued(message: Any) -> bool:
    """Whether a message that was rejected went back into its queue. To be asked once."""
    try:
        return _requeued[message.channel].pop(message.delivery_tag, 0) is None
    except (KeyError, TypeError):  # nothing was noted for this channel, or it takes no weak reference
        return False
