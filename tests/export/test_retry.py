"""How long a receiver is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.export.retry import Backoff, retry_after_s


def test_pauses_double_up_to_a_bound_and_a_half_of_them_is_chance() -> None:
    now = 100.0
    for chance, factor in ((0.0, 0.5), (1.0, 1.0)):
        backoff = Backoff(lambda: now, lambda chance=chance: chance)  # type: ignore[misc]  # bound now
        pauses = []
        for _ in range(7):
            backoff.failed()
            pauses.append(backoff.remaining_s())
        assert pauses == [pytest.approx(seconds * factor) for seconds in (0.5, 1, 2, 4, 8, 8, 8)]
        backoff.succeeded()
        assert backoff.remaining_s() == 0
        backoff.failed()
        assert backoff.remaining_s() == pytest.approx(0.5 * factor)


def test_a_retry_after_holds_up_to_a_bound() -> None:
    backoff = Backoff(lambda: 0.0)
    backoff.failed(7.0)
    assert backoff.remaining_s() == 7.0
    backoff.failed(1e9)
    assert backoff.remaining_s() == 300.0


def test_a_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_s(" 120 ") == 120.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < (retry_after_s(soon) or 0) <= 60
    assert retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT") == 0.0
    for wrong in (None, "", "soon", "-1", "1.5", "9" * 5000, "Fri, 99 Foo 1999 23:59:59 GMT"):
        assert retry_after_s(wrong) is None


@given(st.text(max_size=80))
def test_no_retry_after_raises(text: str) -> None:
    seconds = retry_after_s(text)
    assert seconds is None or seconds >= 0
