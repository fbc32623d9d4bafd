"""How soon a span that has ended in a service stands on the page: by the topic, the reader, the store, the browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

import mqtrace
from mqtrace.flow.readers.topic import TopicReader, parse
from mqtrace.flow.store.filled import FilledSource

_BATCH_S = 0.5
#: What it may take beside the batch's delay. By the clock, so the best of three counts: other tests run beside it.
_MOST_S = 2.0


@pytest.mark.timeout(240)
def test_a_span_is_on_the_page_two_seconds_after_its_batch_left(
    look: Callable[..., Any],
    span_topic: Callable[..., str],
    serve: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = span_topic()
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", str(round(_BATCH_S * 1000)))
    tracer = mqtrace.Tracer("front", exporter=topic)
    source = FilledSource(TopicReader(parse(topic)), window_s=3600.0)
    source.follow()
    try:
        tracer.start_span("POST /first").end()
        page = look(address=serve(source, tick_s=1.0).address).go("/traces")
        expect(page.get_by_text("POST /first")).to_be_visible(timeout=30_000)
        took = []
        for number in range(3):
            page.wait_for_timeout(700 * number)  # not in step with what happens once a second
            tracer.start_span(f"POST /orders/{number}").end()
            ended = time.monotonic()
            page.wait_for_selector(f"text=POST /orders/{number}", timeout=30_000)
            took.append(time.monotonic() - ended)
        assert min(took) < _BATCH_S + _MOST_S, took
        print("on the page after", [f"{each:.2f} s" for each in took])
    finally:
        source.close()
        tracer.shutdown()
