"""OTLP, written and read: spans to JSON (write_json.py) and Zipkin's JSON (zipkin.py), bytes to records (read.py).

The protobuf encoding of spans is the core's, because templates hold parts of it: ``mqtrace.core.request``. Kinds,
status codes and flags are said once, in the core.
"""
