"""W3C Baggage."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.core import Context
from mqtrace.propagation.baggage import decode, encode


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a=1", {"a": "1"}),
        (" a\t= 1 , b =2 ", {"a": "1", "b": "2"}),
        ("a=1;p=q;r, b=2;x", {"a": "1", "b": "2"}),
        ("a=x%20y%25", {"a": "x y%"}),
        ("a=gr%C3%BCn", {"a": "grün"}),
        ("a=1+1", {"a": "1+1"}),
        ("a=%FF", {"a": "\ufffd"}),
        ("a=", {"a": ""}),
        ("a==1", {"a": "=1"}),
        ("a%20b=1", {"a%20b": "1"}),
        ("a=1,a=2", {"a": "2"}),
        ("", {}),
        (",,", {}),
    ],
)
def test_reads(text: str, members: dict[str, str]) -> None:
    assert decode(text) == (members, True)


@pytest.mark.parametrize("bad", ["b", "=1", "b c=1", "b=x y", 'b="x"', "b=\\", "b=é", "é=1", "b=\x7f"])
def test_a_malformed_member_is_left_out_and_counted(bad: str, read: Any) -> None:
    context, reports = read("baggage", {"baggage": f"a=1,{bad},c=3"})
    assert (context.baggage, reports) == ({"a": "1", "c": "3"}, 1)


def test_what_is_set_over_what_was_there(read: Any) -> None:
    context, _ = read("baggage", {"baggage": "a=1"}, Context(baggage={"a": "0", "b": "2"}))
    assert context.baggage == {"a": "1", "b": "2"}


def test_writes(written: Any) -> None:
    members = {"a": 'x y,;=%+\\"ü', "no key": "1", "b": "\ud800"}
    assert written("baggage", Context(baggage=members)) == {"baggage": "a=x%20y%2C%3B=%25+%5C%22%C3%BC,b=?"}
    assert written("baggage", Context(), {"baggage": "mine=1"}) == {"baggage": "mine=1"}


def test_values_that_are_no_text_are_left_out(written: Any) -> None:
    wrong: Any = {"a": 1, 2: "b", "c": "d"}
    assert written("baggage", Context(baggage=wrong)) == {"baggage": "c=d"}


def test_64_members_and_8192_bytes_pass_whole() -> None:
    text = ",".join(f"k{n:02}=" + "v%20"[: 4 * (n % 2)] + "x" * (123 - 4 * (n % 2)) for n in range(64))
    text += "x" * (8192 - len(text))
    assert len(text) == 8192
    members, whole = decode(text)
    assert whole
    assert len(members) == 64
    assert encode(members) == text


def test_of_too_much_the_first_members_stay() -> None:
    many = ",".join(f"k{n}={'v' * 100}" for n in range(500))
    members, whole = decode(many)
    assert whole
    assert list(members) == [f"k{n}" for n in range(len(members))]
    assert 70 < len(members) <= 180
    assert len(encode({f"k{n}": "v" * 100 for n in range(500)})) <= 8192
    assert decode("a=" + "v" * 9000) == ({}, True)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    decode(text)


@given(st.dictionaries(st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,9}", fullmatch=True), st.text(max_size=20)))
def test_what_is_written_is_read(members: dict[str, str]) -> None:
    assert decode(encode(members)) == (members, True)


@pytest.mark.parametrize(
    "header", ["k=a;prop=1", "user=alice;ttl=30;private,tenant=acme", "k=x%20y; p = q ;r", "k=;p", "k=a;p=%20,k2=b;p;p"]
)
def test_properties_go_on_as_they_came(header: str) -> None:
    members, whole = decode(header)
    assert (encode(members), whole) == (header, True)
    assert encode(pickle.loads(pickle.dumps(members))) == header


def test_a_new_value_has_no_properties() -> None:
    members, _ = decode("k=a;prop=1,l=b;q")
    assert encode(Context(baggage=members).with_baggage(k="c").baggage or {}) == "k=c,l=b;q"


@pytest.mark.parametrize("bad", ["\r\nSet-Cookie: a", "\u00e9", 'p="x"', "p=x y", "=1", "p;;q"])
def test_properties_that_are_malformed_are_left_out_and_counted(bad: str) -> None:
    members, whole = decode(f"k=a;{bad}")
    assert (encode(members), whole) == ("k=a", False)
