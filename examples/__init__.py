"""Small programs, each about one thing: ``python -m examples.kafka_order`` and so on, from the checkout."""
