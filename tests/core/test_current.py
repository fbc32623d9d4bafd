"""What is current, and what stands on a frame."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from mqtrace import core

PARENT = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-03"
Make = Callable[..., core.Template]


class Foreign:
    """Another tracer's span, as a frame."""

    state = None
    baggage = None
    decision: core.Decision = "flag"
    token = None

    def __init__(self, identity: bytes | None, remote: bool) -> None:
        self.identity = identity
        self.remote = remote


@pytest.mark.parametrize("remote", [False, True])
def test_whether_the_parent_is_remote_is_what_its_frame_says(template: Make, remote: bool) -> None:
    frame = Foreign(PARENT, remote)
    token = core.attach(frame)
    try:
        made: Any = [
            core.start(template(), core.current_frame(), core.Span),
            core.start_send(template(kind="producer")),
        ]
    finally:
        core.detach(token)
    assert [span.parent for span in made] == [PARENT, PARENT]
    assert [span.parent_remote for span in made] == [remote, remote]


def test_a_root_has_no_remote_parent(template: Make) -> None:
    span: Any = core.start(template(), core.Context(None, None, {"a": "b"}), core.Span)
    assert span.parent is None
    assert span.parent_remote is False


def test_the_context_of_a_span_is_local_and_an_extracted_one_is_remote(template: Make) -> None:
    span: Any = core.start(template(), None, core.Span)
    assert core.Context.of(span).remote is False
    assert core.Context(PARENT).remote is True
    assert pickle.loads(pickle.dumps(core.Context.of(span))).remote is False
    child: Any = core.start(template(), core.Context.of(span), core.Span)
    assert child.parent_remote is False


def test_a_frame_of_ones_own_has_all_five_attributes() -> None:
    frame: Any = Foreign(PARENT, True)
    assert core.is_frame(frame)
    del frame.remote
    assert not core.is_frame(frame)


def test_open_frames_are_the_blocks_around_the_innermost_first(template: Make) -> None:
    outer: Any = core.start(template(), None, core.Span)
    inner: Any = core.start(template(), None, core.Span)
    assert list(core.open_frames()) == []
    with outer, inner, outer:
        assert list(core.open_frames()) == [outer, inner, outer]
    token = core.attach(None)
    with outer:
        assert list(core.open_frames()) == [outer]
    core.detach(token)
