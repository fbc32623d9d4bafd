"""The templates of tasks: which broker an app's tasks go through, and what their spans have in common.

- A Celery span is named after its task (``send shop.charge``), not after the queue: the queue is its destination.
- ``messaging.system`` is that of the app's broker: kombu's transport class has it (``driver_type``). It is read from
  the configuration, without a connection.
- A publish names the exchange and the routing key. A worker's task has the same two, and the queue that they lead to is
  looked up in its app's queues.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mqtrace.core import Attribute, Kind, Template, keep_recent
from mqtrace.messaging import NOTHING_KNOWN, Endpoint, Operation, as_text
from mqtrace.messaging import attributes as names
from mqtrace.messaging.amqp import destination
from mqtrace.messaging.brokers import RABBITMQ, server_of, system_of
from mqtrace.tracer import SpanTracer

__all__ = ["Tasks"]

_TEMPLATES: Final = 2048

# ``messaging.system`` (None: not known) and the address of a broker.
_Broker = tuple[str | None, Endpoint]
_NO_BROKER: Final[_Broker] = (None, NOTHING_KNOWN)


class Tasks:
    """How the tasks of one app, or of every app, are traced: one call of ``instrument``, and the templates made since.

    ``tracer``: makes the spans; None: the default tracer. ``flush_timeout``: the seconds that a worker's process waits
    for its spans at most when it ends.
    """

    def __init__(self, tracer: SpanTracer | None, flush_timeout: float) -> None:
        self.tracer = tracer
        self.send = Operation("send", tracer)
        self.process = Operation("process", tracer)
        self.flush_timeout = flush_timeout
        self._followed: SpanTracer | None = None
        self._follows = False

    @property
    def follow_parent_only(self) -> bool:
        """Whether a message's W3C sampled flag alone decides if its attempt is recorded, not rules or a sampler."""
        tracer = self.process.tracer
        if tracer is not self._followed:
            template = tracer.template("process", "consumer", {})
            self._follows = template.follows_parent_only and not tracer.settings.rules and self.process.w3c_only
            self._followed = tracer
        return self._follows

    def send_template(self, app: Any, name: object, exchange: object, routing_key: object) -> Template:
        """The template of a message to this exchange with this routing key."""
        if type(exchange) is not str:
            exchange = _text(getattr(exchange, "name", exchange))
        key = (app, name, exchange, routing_key)
        template = self.send.templates.get(key)
        if template is None:
            target = destination(exchange, _text(routing_key))
            template = self._make(self.send, key, "producer", name, _broker(app, write=True), target, routing_key)
        return template

    def unsent_template(self, app: Any, name: object) -> Template:
        """The template of a message that was never made, so its destination is not known."""
        key = (app, name)
        template = self.send.templates.get(key)
        return template or self._make(self.send, key, "producer", name, _broker(app, write=True))

    def attempt_template(self, app: Any, name: object, exchange: object, routing_key: object) -> Template:
        """The template of an attempt at a task that came from this exchange with this routing key."""
        key = (app, name, exchange, routing_key)
        template = self.process.templates.get(key)
        if template is None:
            queue = _queue(app, _text(exchange), _text(routing_key))
            template = self._make(self.process, key, "consumer", name, _broker(app, write=False), queue, routing_key)
        return template

    def template_of_task(self, task: Any, exchange: object, routing_key: object) -> Template:
        """The same of a task that runs here, kept by the task itself: to read its app takes a microsecond."""
        templates = self.process.templates  # of one tracer, also if another one is configured meanwhile
        template = self.attempt_template(task.app, task.name, exchange, routing_key)
        if not template.weight:
            keep_recent(templates, (task, exchange, routing_key), template, _TEMPLATES)
        return template

    def eager_template(self, name: object) -> Template:
        """The template of a task that its caller runs: there is no message, so no attribute of a broker."""
        key = (None, name)
        return self.process.templates.get(key) or self._make(self.process, key, "internal", name, _NO_BROKER)

    def _make(
        self,
        operation: Operation,
        key: tuple[object, ...],
        kind: Kind,
        name: object,
        broker: _Broker,
        target: str | None = None,
        routing_key: object = None,
    ) -> Template:
        system, endpoint = broker
        attributes: dict[str, Attribute] = {}
        if system is not None:
            attributes[names.SYSTEM] = system
            attributes[names.OPERATION_NAME] = operation.verb
            attributes[names.OPERATION_TYPE] = operation.verb
        if target is not None:
            attributes[names.DESTINATION] = target
        attributes.update(endpoint.attributes())
        task = attributes[names.TASK_NAME] = _text(name)
        if system == RABBITMQ and routing_key:
            attributes[names.ROUTING_KEY] = _text(routing_key)
        templates = operation.templates
        template = operation.tracer.template(
            f"{operation.verb} {task}", kind, attributes, destination=target, task=task
        )
        # a broker that is not known now may be known for the next message
        if (system is not None or kind == "internal") and not template.weight:
            keep_recent(templates, key, template, _TEMPLATES)
        return template


# ---------------------------------------------------------------------- an app's broker


def _broker(app: Any, *, write: bool) -> _Broker:
    """The broker of an app, from its configuration."""
    try:
        connection = (app.connection_for_write if write else app.connection_for_read)()
        address, port = server_of(connection)
        return system_of(connection), Endpoint(address=address, port=port)
    except Exception:  # noqa: BLE001  # a transport that is misspelt or not installed: the publish raises the error
        return _NO_BROKER


def _queue(app: Any, exchange: str, routing_key: str) -> str:
    """The name of the queue of a message with this exchange and routing key, as far as the app's queues contain it."""
    if not exchange:
        return destination("", routing_key)
    queues: Mapping[str, Any] = app.amqp.queues
    bound = [queue for queue in queues.values() if queue.exchange is not None and queue.exchange.name == exchange]
    exact = [queue for queue in bound if queue.routing_key == routing_key]
    for candidates in (exact, bound):
        if len(candidates) == 1:
            return str(candidates[0].name)
    return destination(exchange, routing_key)


def _text(value: object) -> str:
    return value if type(value) is str else "" if value is None else as_text(value)
