"""confluent-kafka: calls, batches, and the whole way of a message with the export of its spans beside."""
