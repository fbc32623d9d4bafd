"""The pytest fixture ``record``: a list of the spans that the test's code finished."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mqtrace.testing import Spans

__all__ = ["record"]


@pytest.fixture(name="record")
def record() -> Iterator[Spans]:
    """Finished spans, as :func:`mqtrace.testing.record` yields them."""
    # Not at the top: pytest loads plugins before it measures coverage, in every project that has mqtrace installed.
    from mqtrace.testing import record as recording

    with recording() as spans:
        yield spans
