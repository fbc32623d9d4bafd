"""aiokafka, bare, traced by mqtrace and instrumented by OpenTelemetry."""
