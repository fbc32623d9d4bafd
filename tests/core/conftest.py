"""A pipeline whose finished spans land in a list, and templates of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mqtrace import core


class Recorder:
    """The simplest sink there is."""

    def __init__(self) -> None:
        self.queue: list[core.Span] = []
        self.limit = core.NO_LIMIT

    def overflow(self, span: core.Span) -> None:
        self.queue.append(span)

    def admit(self, span: core.Span, weight: int) -> None:
        self.queue.append(span)


class Everything:
    """A decider that records every root."""

    threshold: bytes | None = b"0" * 14
    state: str | None = None
    follows = True

    def root(self, template: core.Template, identity: bytes, attributes: Any) -> bool:
        return True

    def remote(
        self, template: core.Template, identity: bytes, state: str | None, attributes: Any, *, undecided: bool = False
    ) -> tuple[bool, str | None]:
        return True, state


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def pipeline(recorder: Recorder) -> core.Pipeline:
    return core.Pipeline(
        "shop",
        {"service.name": "shop"},
        recorder,
        clock=core.Clock(),
        limits=core.Limits(),
        counters=core.Counters(),
    )


@pytest.fixture
def template(pipeline: core.Pipeline) -> Callable[..., core.Template]:
    """Makes a template: ``template("send orders", kind="producer", {...})``."""

    def make(
        name: str = "work",
        kind: core.Kind = "internal",
        attributes: Any = None,
        *,
        sampling: Any = None,
        **options: Any,
    ) -> core.Template:
        return core.Template(pipeline, name, kind, attributes or {}, sampling=sampling or Everything(), **options)

    return make
