"""The templates of tasks: which broker an app's tasks go through, and what their spans have in common.

- A Celery span is named after its task (``send shop.charge``), not after the queue: the queue is its destination.
- ``messaging.system`` is that of the app's broker, which kombu's transport class knows (``driver_type``). It is read
  from the configuration; no connection is made for it.
- The publisher names exchange and routing key; a worker's task knows those, and its app's queues tell which one they
  lead to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mqtrace.core import Attribute, Kind, Template, keep_recent
from mqtrace.messaging import Endpoint, Operation
from mqtrace.messaging import attributes as names
from mqtrace.messaging.amqp import destination
from mqtrace.messaging.brokers import RABBITMQ, server_of, system_of
from mqtrace.tracer import SpanTracer

__all__ = ["Tasks"]

_KEPT: Final = 2048


class Tasks:
    """What one call of ``instrument`` asked for: whose spans, of which tasks, and the templates made so far."""

    def __init__(self, tracer: SpanTracer | None, flush_timeout: float) -> None:
        #: Whose spans; None: the default tracer's, whichever that is.
        self.tracer = tracer
        self.sends = Operation("send", tracer)
        self.runs = Operation("process", tracer)
        #: Seconds that the end of a worker's process waits for its spans at most.
        self.flush_timeout = flush_timeout
        self._asked: SpanTracer | None = None
        self._follow = False

    @property
    def follow_parent_only(self) -> bool:
        """Whether every attempt's trace is decided by its message's flag, which is W3C's: no rule looks closer."""
        tracer = self.runs.tracer
        if tracer is not self._asked:
            template = tracer.template("process", "consumer", {})
            self._follow = template.follows_parent_only and not tracer.settings.rules and self.runs.w3c_only
            self._asked = tracer
        return self._follow

    def send_template(self, app: Any, name: object, exchange: object, routing_key: object) -> Template:
        """Of a message to this exchange with this routing key."""
        if type(exchange) is not str:
            exchange = _text(getattr(exchange, "name", exchange))
        key = (app, name, exchange, routing_key)
        template = self.sends.templates.get(key)
        if template is None:
            where = destination(exchange, _text(routing_key))
            system, endpoint = _broker(app, write=True)
            template = self._make(self.sends, key, "producer", name, where, system, endpoint, routing_key)
        return template

    def unsent_template(self, app: Any, name: object) -> Template:
        """Of a message that was never made, so that nobody knows where it would have gone."""
        key = (app, name)
        template = self.sends.templates.get(key)
        if template is None:
            system, endpoint = _broker(app, write=True)
            template = self._make(self.sends, key, "producer", name, None, system, endpoint, None)
        return template

    def run_template(self, app: Any, name: object, exchange: object, routing_key: object) -> Template:
        """Of an attempt at a task that came from this exchange with this routing key."""
        key = (app, name, exchange, routing_key)
        template = self.runs.templates.get(key)
        if template is None:
            where = _queue(app, _text(exchange), _text(routing_key))
            system, endpoint = _broker(app, write=False)
            template = self._make(self.runs, key, "consumer", name, where, system, endpoint, routing_key)
        return template

    def attempt_template(self, task: Any, exchange: object, routing_key: object) -> Template:
        """The same, of a task that runs here: kept by the task, which takes a microsecond to say which app's it is."""
        templates = self.runs.templates  # of one tracer, also if another one is configured meanwhile
        template = self.run_template(task.app, task.name, exchange, routing_key)
        if not template.weight:
            keep_recent(templates, (task, exchange, routing_key), template, _KEPT)
        return template

    def eager_template(self, name: object) -> Template:
        """Of a task that its caller runs: there is no message, so nothing of a broker is said."""
        key = (None, name)
        template = self.runs.templates.get(key)
        if template is None:
            template = self._make(self.runs, key, "internal", name, None, None, Endpoint(), None)
        return template

    def _make(
        self,
        operation: Operation,
        key: tuple[object, ...],
        kind: Kind,
        name: object,
        where: str | None,
        system: str | None,
        endpoint: Endpoint,
        routing_key: object,
    ) -> Template:
        attributes: dict[str, Attribute] = {}
        if system is not None:
            attributes[names.SYSTEM] = system
            attributes[names.OPERATION_NAME] = operation.verb
            attributes[names.OPERATION_TYPE] = operation.verb
        if where is not None:
            attributes[names.DESTINATION] = where
        attributes.update(endpoint.attributes())
        task = attributes[names.TASK_NAME] = _text(name)
        if system == RABBITMQ and routing_key:
            attributes[names.ROUTING_KEY] = _text(routing_key)
        templates = operation.templates
        made = operation.tracer.template(f"{operation.verb} {task}", kind, attributes, destination=where, task=task)
        # what could not be said of a broker may be known by the next message
        if (system is not None or kind == "internal") and not made.weight:
            keep_recent(templates, key, made, _KEPT)
        return made


# ---------------------------------------------------------------------- what an app says of its broker


def _broker(app: Any, *, write: bool) -> tuple[str | None, Endpoint]:
    """``messaging.system`` and the address, as configured; None where the configuration names no broker there is."""
    try:
        connection = (app.connection_for_write if write else app.connection_for_read)()
        address, port = server_of(connection)
        return system_of(connection), Endpoint(address=address, port=port)
    except Exception:  # noqa: BLE001  # a transport misspelt or not installed: the publish tells its caller
        return None, Endpoint()


def _queue(app: Any, exchange: str, routing_key: str) -> str:
    """The name of the queue that a message of this exchange and routing key came from, as far as the app can tell."""
    if not exchange:
        return destination("", routing_key)
    queues: Mapping[str, Any] = app.amqp.queues
    bound = [queue for queue in queues.values() if queue.exchange is not None and queue.exchange.name == exchange]
    exact = [queue for queue in bound if queue.routing_key == routing_key]
    for found in (exact, bound):
        if len(found) == 1:
            return str(found[0].name)
    return destination(exchange, routing_key)


def _text(value: object) -> str:
    return value if type(value) is str else "" if value is None else str(value)
