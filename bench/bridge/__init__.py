"""What being joined with OpenTelemetry adds to a message, and ``mqtrace run`` to a program's start."""
