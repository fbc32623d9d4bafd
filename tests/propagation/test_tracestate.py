"""tracestate: its grammar, and how it is changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.propagation.tracestate import get_member, parse, remove_member, set_member, truncate

KEYS = st.from_regex(r"[a-z0-9][a-z0-9_\-*/@]{0,20}", fullmatch=True)
VALUES = st.from_regex(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,160}[\x21-\x2b\x2d-\x3c\x3e-\x7e]", fullmatch=True)
MEMBERS = st.dictionaries(KEYS, VALUES, max_size=32)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a=1", "a=1"),
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 \t,\t b=2 ", "a=1,b=2"),
        ("a= 1", "a= 1"),
        ("a=1,,b=2,", "a=1,b=2"),
        ("", ""),
        (" , ", ""),
        ("1a-_*/@b=x", "1a-_*/@b=x"),
        ("a" * 256 + "=" + "v" * 256, "a" * 256 + "=" + "v" * 256),
        ("a=1,b=2,a=3", "a=1,b=2"),
        (",".join(f"k{n}=v" for n in range(32)), ",".join(f"k{n}=v" for n in range(32))),
    ],
)
def test_good(text: str, canonical: str) -> None:
    assert parse(text) == canonical


@pytest.mark.parametrize(
    "bad",
    [
        *("a", "=1", "a=", "a=1=2", "A=1", "-a=1", "a b=1", "a =1", "a=\x19", "a=\x7f", "a=é", "é=1", "a=1\n"),
        "a" * 257 + "=1",
        "a=" + "v" * 257,
        ",".join(f"k{n}=v" for n in range(33)),
    ],
)
def test_one_bad_member_makes_it_bad(bad: str) -> None:
    assert parse(bad) is None
    assert parse(f"good=1,{bad}") is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    parsed = parse(text)
    assert parsed is None or parse(parsed) == parsed


@given(MEMBERS)
def test_what_is_well_formed_is_kept(members: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in members.items())
    assert parse(text) == text
    for key, value in members.items():
        assert get_member(text, key) == value


def test_members() -> None:
    assert get_member(None, "a") is None
    assert get_member("ab=1,b=ab", "b") == "ab"
    assert get_member("ab=1", "b") is None
    assert remove_member("a=1,b=2", "a") == "b=2"
    assert remove_member("a=1", "a") is None
    assert remove_member("ab=1", "b") == "ab=1"
    assert remove_member(None, "a") is None


def test_a_changed_member_moves_to_the_front() -> None:
    assert set_member(None, "a", "1") == "a=1"
    assert set_member("b=2", "a", "1") == "a=1,b=2"
    assert set_member("b=2,a=0,c=3", "a", "1") == "a=1,b=2,c=3"


def test_a_thirty_third_member_pushes_the_last_one_out() -> None:
    state = set_member(",".join(f"k{n}=v" for n in range(32)), "a", "1")
    assert state.split(",") == ["a=1", *(f"k{n}=v" for n in range(31))]


def test_too_long_drops_whole_members_the_long_ones_first_then_from_the_right() -> None:
    long, short = "l=" + "x" * 200, [f"k{n}=" + "v" * 60 for n in range(6)]
    assert truncate(",".join([long, *short]), 512) == ",".join(short)
    assert truncate(",".join(short), 200) == ",".join(short[:3])
    assert truncate(long, 100) == ""


@pytest.mark.parametrize(("key", "value"), [("A", "1"), ("a", ""), ("a", "1 "), ("a", "1,b=2"), ("", "1")])
def test_a_member_that_breaks_the_grammar_is_a_value_error(key: str, value: str) -> None:
    with pytest.raises(ValueError, match="not a tracestate member"):
        set_member("b=2", key, value)


@given(MEMBERS, KEYS, VALUES)
def test_what_is_set_is_read_and_within_the_limits(members: dict[str, str], key: str, value: str) -> None:
    before = ",".join(f"{k}={v}" for k, v in members.items()) or None
    state = set_member(before, key, value)
    assert get_member(state, key) == value
    assert len(state) <= 512
    assert parse(state) == state
    left = state.split(",")[1:]
    assert set(left) <= {f"{k}={v}" for k, v in members.items()}
