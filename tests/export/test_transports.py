"""The transports without a broker: file, console, memory and none."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core
from mqtrace.export import from_url
from mqtrace.export.batch import BatchProcessor
from mqtrace.export.console import ConsoleExporter
from mqtrace.export.discard import DiscardExporter
from mqtrace.export.file import FileExporter
from mqtrace.export.memory import MemoryExporter
from mqtrace.export.protocol import Exporter


def _spans(maker: Any, count: int, name: str = "work") -> list[core.Span]:
    spans = maker()
    template = spans.template(name)
    for _ in range(count):
        spans.start(template).end()
    return list(spans.pipeline.sink.queue)


def test_a_file_gets_a_line_a_batch_after_what_is_there(maker: Any, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text('{"resourceSpans":[]}\n')
    exporter = FileExporter(str(path))
    sizes = [exporter.export(_spans(maker, count, "Größe\n€")).size for count in (3, 2)]
    exporter.shutdown(1)
    _, *lines = path.read_bytes().splitlines(keepends=True)
    assert [len(line) for line in lines] == sizes
    names = [
        [span["name"] for span in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]] for line in lines
    ]
    assert names == [["Größe\n€"] * 3, ["Größe\n€"] * 2]


def test_two_writers_do_not_mix_their_lines(maker: Any, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    writers = [FileExporter(str(path)) for _ in range(2)]
    for _ in range(5):
        for writer in writers:
            writer.export(_spans(maker, 20))
    lines = path.read_text().splitlines()
    assert len(lines) == 10
    assert all(json.loads(line) for line in lines)


def test_a_file_that_cannot_be_written_is_a_sentence_and_later_a_file_again(
    maker: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = FileExporter(str(tmp_path / "later" / "spans.jsonl"))
    for _ in range(2):
        assert exporter.export(_spans(maker, 1)).lost["export_failed"] == 1
    (line,) = caplog.records
    assert "No such file" in line.getMessage()
    assert line.exc_info is None
    (tmp_path / "later").mkdir()
    assert exporter.export(_spans(maker, 1)).spans == 1


def test_a_line_that_a_full_disk_cut_short_takes_no_other_along(
    maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spans.jsonl"
    exporter = FileExporter(str(path))
    write = os.write
    calls: list[int] = []

    def full(file: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return write(file, data[:50])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert exporter.export(_spans(maker, 1)).lost["export_failed"] == 1
    assert "No space left" in caplog.text
    exporter.export(_spans(maker, 1))
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 50
    assert json.loads(whole)


def _records(content: bytes) -> list[int]:
    """The spans of each TracesData in a file of them, as the Collector's file receiver finds them."""
    counts = []
    while content:
        (size,) = struct.unpack(">I", content[:4])
        assert len(content) >= 4 + size
        data = trace_pb2.TracesData.FromString(content[4 : 4 + size])
        counts.append(sum(len(scope.spans) for resource in data.resource_spans for scope in resource.scope_spans))
        content = content[4 + size :]
    return counts


def test_protobuf_in_a_file_has_its_length_before_it(maker: Any, tmp_path: Path) -> None:
    path = tmp_path / "spans.bin"
    exporter = from_url(f"file://{path}?encoding=otlp_proto")
    sizes = [exporter.export(_spans(maker, count)).size for count in (3, 200)]
    assert _records(path.read_bytes()) == [3, 200]
    assert path.stat().st_size == sum(sizes)


def test_half_a_protobuf_record_is_taken_back(maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spans.bin"
    exporter = FileExporter(str(path), encoding="otlp_proto")
    exporter.export(_spans(maker, 3))
    write = os.write
    sizes = iter([50, None])

    def full(file: int, data: bytes) -> int:
        taken = next(sizes)
        if taken is None:
            raise OSError(28, "No space left on device")
        return write(file, data[:taken])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert exporter.export(_spans(maker, 4)).spans == 0
    exporter.export(_spans(maker, 5))
    assert _records(path.read_bytes()) == [3, 5]


def test_zipkins_json_in_a_file_is_a_list_a_line(maker: Any, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    exporter = from_url(f"file://{path}?encoding=zipkin_json")
    for count in (3, 2):
        exporter.export(_spans(maker, count))
    assert [len(json.loads(line)) for line in path.read_text().splitlines()] == [3, 2]


def test_the_console_shows_a_line_a_span(maker: Any) -> None:
    spans = maker()
    span = spans.start(spans.template("send orders\n", "producer", {"messaging.system": "kafka"}))
    span.set_attribute("text", "two\nlines")
    span.set_status("error", "no")
    span.end()
    out = io.StringIO()
    ConsoleExporter(out).export([span])
    (line,) = out.getvalue().splitlines()
    for part in (span.trace_id, span.span_id, "shop", "send orders", "producer", "ERROR", "messaging.system='kafka'"):
        assert part in line


def test_the_console_says_what_its_encoding_lacks_with_a_backslash(maker: Any) -> None:
    buffer = io.BytesIO()
    out = io.TextIOWrapper(buffer, encoding="ascii", errors="strict")
    ConsoleExporter(out).export(_spans(maker, 1, "send Größe"))
    assert b"send Gr\\xf6\\xdfe" in buffer.getvalue()


@pytest.mark.parametrize("kind", ["file", "console"])
def test_one_span_that_cannot_be_encoded_is_dropped_and_the_others_arrive(
    maker: Any, process: Callable[..., BatchProcessor], tmp_path: Path, kind: str
) -> None:
    path, out = tmp_path / "spans.jsonl", io.StringIO()
    processor = process(FileExporter(str(path)) if kind == "file" else ConsoleExporter(out))
    spans = maker(processor)
    spans.end(10)
    broken = spans.start()
    broken.identity = b"\xff" * 55
    broken.end()
    spans.end(10)
    assert not processor.flush(5)
    stats = processor.stats()
    assert (stats["spans_exported"], stats["spans_dropped"]["encode_failed"]) == (20, 1)
    text = path.read_text() if kind == "file" else out.getvalue()
    assert text.count("work") == 20


def test_a_batch_of_which_nothing_can_be_encoded_leaves_no_trace(maker: Any, tmp_path: Path) -> None:
    path, out = tmp_path / "spans.jsonl", io.StringIO()
    spans = _spans(maker, 3)
    for span in spans:
        span.identity = b"\xff" * 55
    for exporter in (FileExporter(str(path)), ConsoleExporter(out)):
        assert exporter.export(spans) == (0, 0, {"encode_failed": 3})
    assert (path.exists(), out.getvalue()) == (False, "")


def test_the_console_is_standard_error(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleExporter().export(_spans(maker, 2))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2


def test_memory_keeps_all_or_the_last(maker: Any) -> None:
    spans = _spans(maker, 5)
    everything, some = MemoryExporter(), MemoryExporter(2)
    for exporter in (everything, some):
        exporter.export(spans)
    assert everything.spans == spans
    assert some.spans == spans[3:]
    everything.clear()
    assert everything.spans == []


def test_each_is_an_exporter() -> None:
    exporters: list[Exporter] = [MemoryExporter(), DiscardExporter(), ConsoleExporter(), FileExporter("unused")]
    for exporter in exporters:
        exporter.shutdown(0)
