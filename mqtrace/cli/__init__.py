"""The ``mqtrace`` command."""
