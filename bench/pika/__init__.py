"""pika: a BlockingConnection publishes, and its callbacks handle and acknowledge."""
