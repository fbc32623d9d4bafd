"""The questions to the spans, measured: ``python -m bench.flow``."""
