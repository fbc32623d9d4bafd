"""The send time in tracestate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.messaging.send_time import UNKNOWN, stamp, take
from mqtrace.propagation import tracestate

_states = st.lists(
    st.tuples(
        st.from_regex(r"[a-z][a-z0-9_\-*/@]{0,20}", fullmatch=True),
        st.from_regex(r"[!-+\--<>-~]{1,20}", fullmatch=True),
    ),
    max_size=8,
    unique_by=lambda member: member[0],
).map(lambda members: ",".join(f"{key}={value}" for key, value in members if key != "mqtrace") or None)


@given(_states, st.integers(1, 10**15 - 1))
def test_what_is_stamped_is_taken_out_again(state: str | None, sent: int) -> None:
    stamped = stamp(state, sent)
    assert tracestate.parse(stamped) == stamped
    assert take(stamped) == (state, sent)


def test_the_member_is_ours_and_stands_first() -> None:
    assert stamp("a=1,mqtrace=t:5,b=2", 1_700_000_000_000) == "mqtrace=t:1700000000000,a=1,b=2"


def test_a_state_without_it_stays() -> None:
    assert take(None) == (None, UNKNOWN)
    assert take("a=1") == ("a=1", UNKNOWN)
    assert take("xmqtrace=t:5") == ("xmqtrace=t:5", UNKNOWN)


@pytest.mark.parametrize("value", ["t:", "t:-5", "t:1e3", "x:5", "5", "t:" + "9" * 16, "t:0", "t:170000000000x"])
def test_what_is_no_time_is_taken_out_and_says_nothing(value: str) -> None:
    assert take(f"mqtrace={value},a=1") == ("a=1", UNKNOWN)
    assert take(f"mqtrace={value}") == (None, UNKNOWN)
