"""Identities: made ahead in blocks, checked by shape."""

from __future__ import annotations

import os
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


def test_a_fresh_identity_is_valid_sampled_and_random() -> None:
    made = identity.fresh()
    assert identity.is_valid(made)
    assert made.endswith(b"-03")


def test_identities_do_not_repeat() -> None:
    made = [identity.fresh() for _ in range(5000)]
    assert len({one[3:35] for one in made}) == 5000
    assert len({one[36:52] for one in made}) == 5000
    assert len({identity.new_span_id() for _ in range(5000)}) == 5000


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


@given(st.binary(min_size=50, max_size=60))
def test_no_bytes_raise(value: bytes) -> None:
    identity.is_valid(value)


def test_zeros_from_the_random_source_are_never_an_id() -> None:
    """Trace Context level 2, 3.2.2.3: all zeros is invalid."""
    calls = 0

    def zeros_first(count: int) -> bytes:
        nonlocal calls
        calls += 1
        return bytes(count) if calls == 1 else os.urandom(count)

    identity.use_randomness(zeros_first)
    assert identity.is_valid(identity.fresh())
    calls = 0
    identity.use_randomness(zeros_first)
    assert identity.new_span_id() != b"0" * 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_has_ids_of_its_own() -> None:
    """FAULTS 15: the ids made ahead are the parent's."""
    identity.fresh()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, identity.fresh() + identity.new_span_id())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 200)
    os.close(read)
    os.close(write)
    assert theirs[:55] != identity.fresh()
    assert theirs[55:] != identity.new_span_id()
