"""Tasks that never ran, or whose end Celery tells from outside of them: each gets the one span that says so.

- A task that expired or was revoked before it ran: ``task_revoked``; one that was terminated while it ran is told of by
  the same signal, in the worker's main process.
- A message that is no task, or an invalid one: ``task_rejected``. A task that the worker does not know:
  ``task_unknown``.
- What fails outside of a task's body, before it began (a request that cannot be run): ``task_internal_error``. After it
  began, ``task_postrun`` has told of it already.
"""

from __future__ import annotations

from typing import Any

from celery.exceptions import NotRegistered  # type: ignore[import-untyped]  # Celery ships no types

from mqtrace.messaging.attributes import ERROR_TYPE

from . import attempts, killed_children
from .spans import ATTEMPT
from .state import INSTRUMENTATION
from .unreported_attempts import finish, start_unreported

__all__ = ["internal_error", "rejected", "revoked", "unknown"]


def revoked(
    sender: Any = None,
    request: Any = None,
    terminated: Any = None,
    signum: Any = None,
    expired: Any = None,
    signal: Any = None,
    **_: Any,
) -> None:
    """``task_revoked``."""
    tasks = INSTRUMENTATION.for_app(sender.app)
    if tasks is None:
        return
    own = vars(request)
    attempt = killed_children.attempt_at(own.get("id"))
    if terminated and attempt is None:
        return  # it ran in this process, where its own span has ended with what terminated it
    span = start_unreported(tasks, sender, sender.name, own, attempt)
    if span is None:
        return
    if terminated:
        killed_children.began(span, own.get("id"))
    reason = "expired" if expired else "terminated" if terminated else "revoked"
    finish(span, "REVOKED", reason, None if reason == "revoked" else f"the task was {reason}")


def rejected(sender: Any = None, message: Any = None, exc: Any = None, signal: Any = None, **_: Any) -> None:
    """``task_rejected``."""
    _not_run(sender, message, None, "REJECTED", exc, "the message is not a task")


def unknown(
    sender: Any = None, message: Any = None, exc: Any = None, name: Any = None, signal: Any = None, **_: Any
) -> None:
    """``task_unknown``."""
    _not_run(sender, message, name, "FAILURE", NotRegistered(name), "")


def internal_error(
    sender: Any = None,
    task_id: Any = None,
    request: Any = None,
    exception: Any = None,
    signal: Any = None,
    **_: Any,
) -> None:
    """``task_internal_error``."""
    tasks = INSTRUMENTATION.for_app(sender.app)
    if tasks is None:
        return
    if attempts.told.get() == id(exception):
        attempts.told.set(0)
        return
    own: Any = request if isinstance(request, dict) else {"id": task_id}
    span = start_unreported(
        tasks, sender, sender.name, own, own.get(ATTEMPT) if INSTRUMENTATION.in_pool_child else None
    )
    if span is not None:
        span.state_name = "FAILURE"
        span.fail(exception)
        span.end()


def _not_run(sender: Any, message: Any, name: Any, state: str, error: BaseException | None, text: str) -> None:
    tasks = INSTRUMENTATION.for_app(sender.app)
    if tasks is None:
        return
    headers = message.headers if isinstance(message.headers, dict) else {}
    # protocol 1 has them in the body, which may be anything
    body = message.payload if "id" not in headers and isinstance(message.payload, dict) else headers
    info = message.delivery_info or {}
    own = {**headers, "headers": headers, "delivery_info": info}
    for key in ("id", "root_id", "retries", "eta"):
        own[key] = body.get(key)
    name = name or body.get("task")
    span = start_unreported(tasks, sender, name if isinstance(name, str) else "unknown", own, None)
    if span is None:
        return
    span.state_name = state
    if error is not None:
        span.fail(error)
    else:
        span.set_attribute(ERROR_TYPE, "not_a_task")
        span.set_status("error", text)
    span.end()
