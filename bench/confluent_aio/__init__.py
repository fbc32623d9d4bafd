"""confluent_kafka.aio, bare and traced by mqtrace; OpenTelemetry does not instrument it."""
