"""aio-pika: a publish, and a callback with its acknowledgement."""
