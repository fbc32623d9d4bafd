"""Celery: a task is published, and a worker runs it."""
