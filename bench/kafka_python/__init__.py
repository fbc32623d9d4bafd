"""kafka-python: a send, and a record of a consumer's loop."""
