"""``import mqtrace.auto`` as a program's first line: its clients are traced without another change of its code.

``mqtrace run`` does the same for a program that is not to be changed, and for the processes that it starts. The
configuration comes from the environment (docs/configuration.md), unless the program calls ``mqtrace.configure``.
MQTRACE_CLIENTS says which clients are wrapped: import names separated by commas; if it is not set, all that are
installed. MQTRACE_DISABLED=true turns all of it off.
"""

from __future__ import annotations

from .activate import activate

__all__ = ["activate"]

activate()
