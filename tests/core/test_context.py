"""Contexts: what travels, and what may be done with it."""

from __future__ import annotations

import copy
import pickle

import pytest

from mqtrace import core

IDENTITY = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


@pytest.mark.parametrize(
    "context",
    [
        core.EMPTY,
        core.Context(IDENTITY, "x=y"),
        core.Context(IDENTITY, decision="defer"),
        core.Context().with_baggage(tenant="7"),
    ],
)
def test_a_context_goes_to_another_process(context: core.Context) -> None:
    assert pickle.loads(pickle.dumps(context)) == context
    assert copy.deepcopy(context) == copy.copy(context) == context


def test_baggage_may_have_any_name() -> None:
    assert core.Context().with_baggage(**{"self": "1", "user-id": "2"}).baggage == {"self": "1", "user-id": "2"}


def test_a_context_made_of_nonsense_can_still_be_shown() -> None:
    assert "7" in repr(core.Context(7))  # type: ignore[arg-type]  # that is the mistake
