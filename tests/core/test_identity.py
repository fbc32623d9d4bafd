"""Identities: made ahead in blocks, checked by shape."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.core import identity

GOOD = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"


@pytest.fixture(autouse=True)
def system_randomness() -> Iterator[None]:
    yield
    identity.use_randomness()


@pytest.fixture
def full_blocks() -> None:
    """Blocks grow to 256 ids while ids are taken."""
    for _ in range(1000):
        identity.fresh()
        identity.new_span_id()


def test_a_fresh_identity_is_valid_sampled_and_random() -> None:
    made = identity.fresh()
    assert identity.is_valid(made)
    assert made.endswith(b"-03")


def test_identities_do_not_repeat() -> None:
    made = [identity.fresh() for _ in range(5000)]
    assert len({one[3:35] for one in made}) == 5000
    assert len({one[36:52] for one in made}) == 5000
    assert len({identity.new_span_id() for _ in range(5000)}) == 5000


@pytest.mark.parametrize("threshold", [b"0" * 14, b"0" * 13 + b"1", b"8" + b"0" * 13, b"f" * 14, b"g"])
def test_roots_made_ahead_say_by_their_flags_whether_a_threshold_samples_them(threshold: bytes) -> None:
    roots = identity.roots_for(threshold)
    made = [roots.pop() if roots else roots.refill() for _ in range(1000)]
    assert len({one[3:35] for one in made}) == 1000
    assert all(identity.is_canonical(one) for one in made)
    assert all(one[53:] == (b"03" if one[21:35] >= threshold else b"02") for one in made)


def test_roots_are_shared_by_threshold_for_as_long_as_somebody_asks() -> None:
    """A program that computes a rate each minute must not grow."""
    threshold = b"123456789abcde"
    first = identity.roots_for(threshold)
    first.refill()
    assert identity.roots_for(threshold) is first
    assert identity.roots_for(b"123456789abcdf") is not first
    del first
    assert not identity.roots_for(threshold)


@pytest.mark.parametrize(
    "value",
    [
        GOOD.upper(),
        b"01" + GOOD[2:],
        b"ff" + GOOD[2:],
        GOOD[:-1],
        GOOD + b"0",
        GOOD.replace(b"-", b"_"),
        b"00-" + b"0" * 32 + GOOD[35:],
        GOOD[:36] + b"0" * 16 + GOOD[52:],
        b"",
        b"\xff" * 55,
    ],
)
def test_what_is_not_a_traceparent_is_told(value: bytes) -> None:
    assert identity.is_valid(GOOD)
    assert not identity.is_valid(value)


@pytest.mark.parametrize(
    ("flags", "known"), [(b"00", True), (b"03", True), (b"04", False), (b"ff", False), (b"0a", False)]
)
def test_an_identity_has_only_flags_that_level_2_defines(flags: bytes, known: bool) -> None:
    assert identity.is_valid(GOOD[:-2] + flags)
    assert bool(identity.is_canonical(GOOD[:-2] + flags)) is known


_VALID = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize("place", range(55))
def test_each_byte_is_judged_as_the_specification_has_it(place: int) -> None:
    """Section 3.2.2, as a pattern: slower, and plain to see."""
    lowest = b"00-" + b"0" * 31 + b"1-" + b"0" * 15 + b"1-00"
    for start in (GOOD, lowest):
        for byte in range(256):
            value = start[:place] + bytes([byte]) + start[place + 1 :]
            valid = _VALID.fullmatch(value) is not None
            assert identity.is_valid(value) is valid
            assert identity.is_canonical(value) is (valid and value[53:] in (b"00", b"01", b"02", b"03"))


@given(st.binary(min_size=50, max_size=60))
def test_no_bytes_raise(value: bytes) -> None:
    identity.is_valid(value)
    identity.is_canonical(value)


@pytest.mark.usefixtures("full_blocks")
@pytest.mark.parametrize("zeros", [slice(0, 16), slice(16, 24)])
@pytest.mark.parametrize("place", [0, 100, 255])
def test_zeros_from_the_random_source_are_never_an_id(zeros: slice, place: int) -> None:
    """Trace Context level 2, 3.2.2.3: all zeros is invalid; 16 zeros within a trace id are not."""
    calls = 0

    def zeros_once(count: int) -> bytes:
        nonlocal calls
        calls += 1
        given = bytearray(b"\xa1" * count)
        given[place * 24 : place * 24 + 8] = bytes(8)
        if calls == 1:
            given[place * 24 + zeros.start : place * 24 + zeros.stop] = bytes(zeros.stop - zeros.start)
        return bytes(given)

    identity.use_randomness(zeros_once)
    made = [identity.fresh() for _ in range(256)]
    assert all(identity.is_valid(one) for one in made)
    assert calls == 2
    assert made[255 - place] == b"00-" + b"0" * 16 + b"a1" * 8 + b"-" + b"a1" * 8 + b"-03"


@pytest.mark.usefixtures("full_blocks")
@pytest.mark.parametrize("place", [0, 100, 255])
def test_zeros_from_the_random_source_are_never_a_span_id(place: int) -> None:
    calls = 0

    def zeros_once(count: int) -> bytes:
        nonlocal calls
        calls += 1
        given = bytearray(b"\xa1" * count)
        if calls == 1:
            given[place * 8 : place * 8 + 8] = bytes(8)
        return bytes(given)

    identity.use_randomness(zeros_once)
    assert {identity.new_span_id() for _ in range(256)} == {b"a1" * 8}
    assert calls == 2


@pytest.mark.usefixtures("full_blocks")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_has_ids_of_its_own() -> None:
    """FAULTS 15: the ids made ahead are the parent's."""
    some = identity.roots_for(b"8" + b"0" * 13)
    identity.fresh()
    some.refill()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, identity.fresh() + (some.pop() if some else some.refill()) + identity.new_span_id())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 200)
    os.close(read)
    os.close(write)
    assert theirs[:55] != identity.fresh()
    assert theirs[55:110] != some.pop()
    assert theirs[110:] != identity.new_span_id()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ids are made one by one where no page is wiped")
def test_a_process_that_makes_few_spans_makes_few_ids_ahead() -> None:
    roots = identity.roots_for(b"9" + b"0" * 13)
    ahead = []
    for _ in range(2000):
        roots.take()
        ahead.append(len(roots))
    assert (ahead[0], max(ahead)) == (7, 255)


_HEX = b"0123456789abcdef"
#: What an identity may be changed by: other digits, dashes, zeros, and what is none of these.
_BYTES = st.sampled_from([bytes([one]) for one in _HEX + b"- AFgx\x00\xff"])


@st.composite
def nearly_identities(draw: st.DrawFn) -> bytes:
    """A good identity, or one with a few bytes or a whole id changed, or of another length."""
    value = bytearray(identity.fresh())
    value[53:] = draw(st.sampled_from([b"00", b"01", b"02", b"03"]))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 54), _BYTES), max_size=2)):
        value[place : place + 1] = byte
    if draw(st.booleans()):
        begin, end = draw(st.sampled_from([(3, 35), (36, 52), (19, 35)]))
        value[begin:end] = b"0" * (end - begin)
    return bytes(value[: draw(st.sampled_from([55, 55, 55, 54]))]) + draw(st.sampled_from([b"", b"", b"", b"0"]))


@given(st.lists(nearly_identities(), max_size=4), st.integers(0, 3))
def test_identities_that_are_checked_together_are_judged_as_each_by_itself(values: list[bytes], good: int) -> None:
    values += [identity.fresh() for _ in range(good)]
    assert identity.are_canonical(values) is all(identity.is_canonical(value) for value in values)


@pytest.mark.parametrize("place", range(55))
@pytest.mark.parametrize("row", [0, 1, 2])
def test_one_wrong_byte_of_one_identity_is_seen_among_others(place: int, row: int) -> None:
    values = [GOOD, GOOD, GOOD]
    assert identity.are_canonical(values)
    for wrong in b"gA\xff- ":
        changed = values[row][:place] + bytes([wrong]) + values[row][place + 1 :]
        if changed != GOOD:
            assert not identity.are_canonical([*values[:row], changed, *values[row + 1 :]])
