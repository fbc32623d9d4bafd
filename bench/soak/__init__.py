"""Minutes of load on a Kafka that is killed and frozen, and every span accounted for: ``make soak``."""
