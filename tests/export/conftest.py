"""Spans to export, made through the core as a tracer would, and processors that no test leaves running."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mqtrace import core
from mqtrace.export.batch import BatchProcessor, BatchSettings
from mqtrace.testing.clock import FakeClock


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


class Maker:
    """Makes templates and spans whose sink is ``sink``."""

    def __init__(self, sink: Any, clock: core.Clock | None = None, service: str = "shop") -> None:
        self.pipeline = core.Pipeline(
            service,
            {"service.name": service, "telemetry.sdk.name": "mqtrace"},
            getattr(sink, "sink", sink),
            clock=clock or core.Clock(),
            limits=core.Limits(),
            counters=core.Counters(),
        )
        self.work = self.template("work")

    def template(self, name: str, kind: core.Kind = "internal", attributes: Any = None) -> core.Template:
        return core.Template(self.pipeline, name, kind, attributes or {}, sampling=Everything())

    def start(self, template: core.Template | None = None) -> core.Span:
        span = core.start(template or self.work, None, core.Span)
        assert isinstance(span, core.Span)
        return span

    def end(self, count: int = 1) -> None:
        for _ in range(count):
            self.start().end()


class Kept:
    """A sink that keeps spans."""

    def __init__(self) -> None:
        self.queue: list[core.Span] = []
        self.limit = core.NO_LIMIT

    def overflow(self, span: core.Span) -> None:
        self.queue.append(span)

    def admit(self, span: core.Span, weight: int) -> None:
        self.queue.append(span)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def maker() -> Callable[..., Maker]:
    """``maker(sink=None, clock=None)``; without a sink its spans land in ``maker().pipeline.sink.queue``."""
    return lambda sink=None, clock=None, **options: Maker(sink if sink is not None else Kept(), clock, **options)


@pytest.fixture
def process() -> Iterator[Callable[..., BatchProcessor]]:
    """``process(exporter, clock=None, **settings)``: a processor, shut down at the end."""
    made: list[BatchProcessor] = []

    def make(exporter: Any, clock: core.Clock | None = None, **settings: Any) -> BatchProcessor:
        upkeep = settings.pop("upkeep", None)
        made.append(
            BatchProcessor(exporter, clock=clock or core.Clock(), settings=BatchSettings(**settings), upkeep=upkeep)
        )
        return made[-1]

    pid = os.getpid()
    yield make
    if os.getpid() == pid:
        for processor in made:
            processor.shutdown(0.2)
