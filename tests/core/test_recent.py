"""Tables that do not grow keep what came last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mqtrace.core import keep_recent


@given(st.lists(st.integers(0, 20)), st.integers(1, 10))
def test_the_most_recent_are_kept(keys: list[int], most: int) -> None:
    table: dict[int, int] = {}
    for number, key in enumerate(keys):
        keep_recent(table, key, number, most)
        assert table[key] == number
        assert len(table) <= most
    firsts: dict[int, None] = {}
    for key in keys:
        if key not in firsts:
            firsts[key] = None
            if len(firsts) > most:
                del firsts[next(iter(firsts))]
    assert list(table) == list(firsts)
