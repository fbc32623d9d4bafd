"""Side by side with the bare client and with OpenTelemetry, in one run: ``make bench``."""
