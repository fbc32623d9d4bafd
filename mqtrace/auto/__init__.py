"""``import mqtrace.auto`` as a program's first line: its clients are traced without another change of its code.

``mqtrace run`` does the same for a program that nobody wants to change, and for the processes that it starts. The
configuration is the environment's (docs/configuration.md); a program that calls ``mqtrace.configure`` itself has the
last word. What is wrapped: MQTRACE_CLIENTS, import names with commas between them, all that are installed if left out.
MQTRACE_DISABLED=true turns all of it off.
"""

from __future__ import annotations

from .activate import activate

__all__ = ["activate"]

activate()
