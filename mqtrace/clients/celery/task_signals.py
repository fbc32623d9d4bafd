"""Tasks that never ran, or whose end Celery signals outside of them: each gets a span that says why.

- ``task_revoked``: a task that expired or was revoked before it ran. The worker's main process sends the same signal
  for a task that was terminated while it ran.
- ``task_rejected``: a message that is not a task, or an invalid one. ``task_unknown``: a task that the worker lacks.
- ``task_internal_error``: a failure outside of a task's body. Only one that came before the body began (a request that
  cannot be run) is reported here: after that, ``task_postrun`` has reported it.
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


def revoked(sender: Any = None, request: Any = None, terminated: Any = None, expired: Any = None, **_: Any) -> None:
    """``task_revoked``."""
    tasks = INSTRUMENTATION.for_app(sender.app)
    if tasks is None:
        return
    fields = vars(request)
    task_id = fields.get("id")
    attempt_id = killed_children.attempt_id_of(task_id)
    if terminated and attempt_id is None:
        return  # it ran in this process: its own span has ended with what terminated it
    span = start_unreported(tasks, sender, sender.name, fields, attempt_id)
    if span is None:
        return
    if terminated:
        killed_children.set_begin_of_task(span, task_id)
    reason = "expired" if expired else "terminated" if terminated else "revoked"
    finish(span, "REVOKED", reason, None if reason == "revoked" else f"the task was {reason}")


def rejected(sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
    """``task_rejected``."""
    _report_not_run(sender, message, None, "REJECTED", exc)


def unknown(sender: Any = None, message: Any = None, name: Any = None, **_: Any) -> None:
    """``task_unknown``."""
    _report_not_run(sender, message, name, "FAILURE", NotRegistered(name))


def internal_error(
    sender: Any = None, task_id: Any = None, request: Any = None, exception: Any = None, **_: Any
) -> None:
    """``task_internal_error``."""
    tasks = INSTRUMENTATION.for_app(sender.app)
    if tasks is None:
        return
    if attempts.reported_error.get() == id(exception):
        attempts.reported_error.set(0)
        return
    fields: Any = request if isinstance(request, dict) else {"id": task_id}
    attempt_id = fields.get(ATTEMPT) if INSTRUMENTATION.in_pool_child else None
    span = start_unreported(tasks, sender, sender.name, fields, attempt_id)
    if span is not None:
        span.state_name = "FAILURE"
        span.fail(exception)
        span.end()


def _report_not_run(sender: Any, message: Any, name: Any, state: str, error: BaseException | None) -> None:
    tasks = INSTRUMENTATION.for_app(sender.app)
    if tasks is None:
        return
    headers = message.headers if isinstance(message.headers, dict) else {}
    # protocol 1 has these fields in the body, which may be anything
    body = message.payload if "id" not in headers and isinstance(message.payload, dict) else headers
    fields = {**headers, "headers": headers, "delivery_info": message.delivery_info or {}}
    for key in ("id", "root_id", "retries", "eta"):
        fields[key] = body.get(key)
    name = name or body.get("task")
    span = start_unreported(tasks, sender, name if isinstance(name, str) else "unknown", fields, None)
    if span is None:
        return
    span.state_name = state
    if error is not None:
        span.fail(error)
    else:
        span.set_attribute(ERROR_TYPE, "not_a_task")
        span.set_status("error", "the message is not a task")
    span.end()
