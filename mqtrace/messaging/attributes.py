"""The names of the attributes that clients set on spans of messages, each once.

OpenTelemetry semantic conventions 1.44, messaging (``messaging.*``, ``server.*``); Celery's are those of
opentelemetry-instrumentation-celery; ``mqtrace.*`` are ours. The attributes that the core writes from the slots of a
span (partition, offset, time in the queue) are named there.
"""

from __future__ import annotations

from typing import Final

# ---------------------------------------------------------------------- of the operation and the client

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
#: On a span; on the links of a batch of several destinations.
DESTINATION: Final = "messaging.destination.name"
CLIENT_ID: Final = "messaging.client.id"
GROUP: Final = "messaging.consumer.group.name"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# ---------------------------------------------------------------------- of a message, or of a batch

MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION: Final = "messaging.message.conversation_id"
BATCH_COUNT: Final = "messaging.batch.message_count"
ERROR_TYPE: Final = "error.type"
#: Kafka: the message has no value.
TOMBSTONE: Final = "messaging.kafka.message.tombstone"
#: RabbitMQ.
ROUTING_KEY: Final = "messaging.rabbitmq.destination.routing_key"
DELIVERY_TAG: Final = "messaging.rabbitmq.message.delivery_tag"

# ---------------------------------------------------------------------- ours

#: What became of a message: ack, nack, reject, requeue or auto.
OUTCOME: Final = "mqtrace.outcome"
REDELIVERED: Final = "mqtrace.redelivered"
DELIVERY_COUNT: Final = "mqtrace.delivery_count"
DEATHS: Final = "mqtrace.dead_letter.count"
DEATH_REASON: Final = "mqtrace.dead_letter.reason"
DEATH_QUEUE: Final = "mqtrace.dead_letter.queue"
#: Why a task was revoked.
REVOKED: Final = "mqtrace.revoked"
#: Seconds that a message was to wait before it is delivered.
DELAY: Final = "mqtrace.delay"

# ---------------------------------------------------------------------- of a Celery task

TASK_NAME: Final = "celery.task_name"
RETRIES: Final = "celery.retries"
STATE: Final = "celery.state"
RETRY_COUNT: Final = "messaging.message.retry.count"
