"""Clients from outside: found by their entry points, loaded once, and as good as ours."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mqtrace
from mqtrace import clients
from mqtrace.clients import entry_points
from mqtrace.messaging.adapters import _adapters
from mqtrace.testing import record

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-client.md"
MODULES = ("memory_queue", "memory_queue_mqtrace", "test_memory_queue", "shop", "broken_queue_mqtrace")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The programs of the page, importable, and their distribution beside one whose client cannot be loaded."""
    for text, name in re.findall(r"```python\n(# (\w+\.py)\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    points = toml.replace('[project.entry-points."mqtrace.clients"]', "[mqtrace.clients]").replace('"', "")
    _distribution(tmp_path, "memory-queue", points)
    _distribution(tmp_path, "broken-queue", "[mqtrace.clients]\nbroken_queue = broken_queue_mqtrace:client\n")
    (tmp_path / "broken_queue_mqtrace.py").write_text("raise RuntimeError('not on this machine')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(entry_points, "_loaded", None)
    known = dict(_adapters)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)
    _adapters.clear()
    _adapters.update(known)


def _distribution(folder: Path, name: str, points: str) -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


def path_with(installed: Path) -> str:
    """PYTHONPATH of a child that sees what is installed here, and what this process sees."""
    return os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_it_passes_the_contract_of_clients(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": path_with(installed)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(installed / "test_memory_queue.py")],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 24


def test_the_program_of_the_page_has_its_two_spans(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with record() as spans:
        exec((installed / "shop.py").read_text().replace('mqtrace.configure("shop", exporter="memory:")', ""), {})
    assert capsys.readouterr().out == "b'42'\n"
    sent, processed = spans
    assert (sent.name, sent.kind, processed.name, processed.kind) == (
        "send orders",
        "producer",
        "process orders",
        "consumer",
    )
    assert processed.parent_id == sent.span_id
    assert sent.attributes["messaging.message.body.size"] == 2


def test_its_class_is_wrapped_too(installed: Path) -> None:
    import memory_queue  # type: ignore[import-not-found]  # it stands on the page

    kind = mqtrace.wrap(memory_queue.MemoryQueue)
    assert issubclass(kind, memory_queue.MemoryQueue)
    assert mqtrace.wrap(memory_queue.MemoryQueue) is kind
    with record() as spans:
        queue = kind()
        queue.put("letters", b"1", {"mine": "x"})
        queue.put("letters", b"2")
        with mqtrace.batch([queue.get("letters"), queue.get("letters")]) as batch:
            pass
    assert [span.name for span in spans] == ["send letters", "send letters", "process letters"]
    assert [link.context.span_id for link in batch.links] == [span.span_id for span in spans[:2]]


def test_one_that_cannot_be_loaded_is_one_warning(installed: Path, caplog: pytest.LogCaptureFixture) -> None:
    import memory_queue

    with caplog.at_level(logging.WARNING, "mqtrace"):
        for _ in range(2):
            mqtrace.wrap(memory_queue.MemoryQueue())
            with pytest.raises(TypeError, match="does not know"):
                mqtrace.wrap(object())
    said = [record.getMessage() for record in caplog.records if "broken_queue" in record.getMessage()]
    assert len(said) == 1
    assert "not on this machine" in said[0]


def test_what_it_raises_about_a_message_costs_the_span_and_not_the_message(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import memory_queue
    import memory_queue_mqtrace  # type: ignore[import-not-found]  # as above

    def describe(self: Any, message: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(memory_queue_mqtrace.MemoryQueueClient, "describe", describe)
    handled: list[Any] = []
    with record() as spans:
        mqtrace.consumer(handled.append)(memory_queue.Message("orders", b"", {}))
    assert len(handled) == 1
    assert spans == []


@pytest.mark.parametrize("headers", [None, {}, {"traceparent": b"\xff"}, {1: 2}, [("a", b"b")], (), "nonsense", 7])
def test_headers_of_any_kind_cost_no_message(installed: Path, headers: Any) -> None:
    import memory_queue

    handled: list[Any] = []
    with record():
        mqtrace.consumer(handled.append)(memory_queue.Message("orders", b"", headers))
    assert len(handled) == 1


def test_nothing_is_read_while_every_type_is_known(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: type) -> None:
        raise AssertionError(f"asked about {kind}")

    import confluent_kafka

    monkeypatch.setattr(entry_points, "client_of", refuse)
    assert clients.module_of(confluent_kafka.Producer) is not None
    assert entry_points._loaded is None


@pytest.mark.parametrize("chosen", ["memory_queue", "memory-queue"])
def test_mqtrace_run_puts_its_classes_in_place(installed: Path, chosen: str) -> None:
    program = (
        "import memory_queue, mqtrace\n"
        "queue = memory_queue.MemoryQueue()\n"
        "queue.put('orders', b'42')\n"
        "with mqtrace.process(queue.get('orders')): pass\n"
    )
    spans = installed / "spans.jsonl"
    environment = {
        **os.environ,
        "PYTHONPATH": path_with(installed),
        "MQTRACE_CLIENTS": chosen,
        "MQTRACE_EXPORTER": f"file://{spans}",
        "MQTRACE_EXIT_TIMEOUT": "60000",  # on a machine under load two seconds may pass before a span leaves
    }
    done = subprocess.run(
        [sys.executable, "-m", "mqtrace.cli", "run", sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr  # of the one that cannot be loaded
    assert spans.read_text().count('"name":"send orders"') == 1
    assert spans.read_text().count('"name":"process orders"') == 1
