"""A minute of 5,000 spans a second, over HTTP and to Kafka: are any dropped, does the memory grow?

``python -m bench.minute`` takes three minutes: mqtrace to a receiver of its own over HTTP, mqtrace to a Kafka
(``KAFKA_BOOTSTRAP``, else librdkafka's embedded broker), and OpenTelemetry's BatchSpanProcessor and OTLP/HTTP exporter.
"""
