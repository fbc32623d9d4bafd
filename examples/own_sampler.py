"""A sampler of one's own: every trace of a paying customer, a tenth of the others.

python -m examples.own_sampler
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mqtrace
from mqtrace.sampling import Probability


class PayingCustomers:
    """Asked for roots only: whoever joins a trace follows its flag."""

    def __init__(self) -> None:
        self._others = Probability(0.1)

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        """``attributes`` are those that the span was started with."""
        if attributes.get("customer.plan") == "paid":
            return True
        return self._others.sample(trace_id, name, kind, destination, attributes)


def main() -> None:
    """A hundred requests of each kind."""
    tracer = mqtrace.configure("front", sampler=PayingCustomers())
    for plan in ("paid", "free"):
        recorded = 0
        for _ in range(100):
            with tracer.start_span("GET /", kind="server", attributes={"customer.plan": plan}) as span:
                recorded += span.is_recording()
        print(f"{plan}: {recorded} of 100")
    mqtrace.shutdown()


if __name__ == "__main__":
    main()
