"""What every test shares: how hypothesis searches, the markers, and a line that says which brokers a run will use."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a time limit for one example on a machine with noisy neighbours fails for the neighbours' sake.
settings.register_profile("laptop", deadline=None)
# The same examples each time: a red build is red for its change. The search for new ones happens on laptops.
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "laptop"))


def pytest_configure(config: pytest.Config) -> None:
    """The markers of tests/broker, said here because --strict-markers reads them before that folder is entered."""
    config.addinivalue_line("markers", "real_only(reason): a broker test that the embedded broker cannot serve")
    config.addinivalue_line("markers", "embedded_only(reason): a broker test that a real broker cannot serve")


def pytest_report_header() -> str:
    """Where the broker tests will find their brokers; nothing is started to say it."""
    said = []
    for broker, variable in (("kafka", "KAFKA_BOOTSTRAP"), ("rabbitmq", "RABBITMQ_URL"), ("redis", "REDIS_URL")):
        address = os.environ.get(variable)
        said.append(f"{broker} at {address} ({variable})" if address else f"{broker} by compose/up or Docker")
    absent = "fail" if os.environ.get("CI") else "are skipped"
    return f"brokers: embedded kafka; {'; '.join(said)}; tests without theirs {absent}"
