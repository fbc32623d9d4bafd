"""compose/up and compose/down: brokers of this machine without Docker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, Producer

_COMPOSE = Path(__file__).resolve().parents[2] / "compose"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A run of its own: ``run(program, *arguments)`` starts and stops in a folder that is erased after the test."""

    def run(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {"MQTRACE_BROKERS_DIR": str(tmp_path / "run"), "MQTRACE_KAFKA_PORT": "0", "MQTRACE_REDIS_PORT": "0"}
        return subprocess.run(
            [sys.executable, str(_COMPOSE / program), *arguments],
            env={**os.environ, **given, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    yield SimpleNamespace(run=run, folder=tmp_path / "run")
    run("down", "--erase")


def _processes(folder: Path, name: str) -> list[int]:
    return [pid for pid, _born in json.loads((folder / name / "state.json").read_text())["processes"]]


def _started(place: SimpleNamespace, *names: str, **variables: str) -> dict[str, str]:
    done = place.run("up", "--no-install", *names, **variables)
    if "is missing: install it" in done.stderr:
        reason = done.stderr.strip().partition("compose/up: ")[2]
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("export ").partition("=") for line in done.stdout.splitlines()]
    return {name: value for name, _, value in lines}


@pytest.mark.parametrize("program", ["up", "down"])
def test_they_explain_themselves(place: SimpleNamespace, program: str) -> None:
    done = place.run(program, "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("kafka", "rabbitmq", "redis", "MQTRACE_BROKERS_DIR"))


@pytest.mark.parametrize("program", ["up", "down"])
def test_they_are_programs(program: str) -> None:
    assert os.access(_COMPOSE / program, os.X_OK)
    assert (_COMPOSE / program).read_text().startswith("#!/usr/bin/env python3\n")


@pytest.mark.parametrize("program", ["up", "down"])
def test_a_name_they_do_not_know_is_answered_with_those_they_do(place: SimpleNamespace, program: str) -> None:
    done = place.run(program, "kafak")
    assert done.returncode == 2
    assert "there is no 'kafak' here; there are kafka, rabbitmq, redis" in done.stderr


def test_a_port_that_is_none_is_a_sentence(place: SimpleNamespace) -> None:
    done = place.run("up", "kafka", MQTRACE_KAFKA_PORT="many")
    assert (done.returncode, done.stdout) == (1, "")
    assert "MQTRACE_KAFKA_PORT='many' is not a port: write a number up to 65535" in done.stderr


def test_what_does_not_run_is_not_said_to(place: SimpleNamespace) -> None:
    done = place.run("up", "--running", "kafka")
    assert (done.returncode, done.stdout) == (1, "")
    assert "start it with `compose/up kafka`" in done.stderr


def test_down_where_nothing_runs_is_fine(place: SimpleNamespace) -> None:
    assert place.run("down").returncode == 0


def test_down_ends_no_process_that_only_has_the_number_of_one_of_its_own(place: SimpleNamespace) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (place.folder / "redis").mkdir(parents=True)
        state = {"port": 1, "processes": [[stranger.pid, "another birth"]]}
        (place.folder / "redis" / "state.json").write_text(json.dumps(state))
        assert place.run("down", "redis").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_state_that_was_cut_off_is_no_state(place: SimpleNamespace) -> None:
    (place.folder / "redis").mkdir(parents=True)
    (place.folder / "redis" / "state.json").write_text('{"port": 19')
    assert place.run("down", "redis").returncode == 0


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="it would be installed")
def test_what_is_prepared_is_not_started(place: SimpleNamespace) -> None:
    prepared = place.run("up", "--prepare", "redis")
    assert (prepared.returncode, prepared.stdout) == (0, "")
    assert not place.folder.exists()


def test_a_second_start_finds_the_first(place: SimpleNamespace) -> None:
    first = _started(place, "redis")
    before = _processes(place.folder, "redis")
    assert _started(place, "redis") == first
    assert _processes(place.folder, "redis") == before


def test_two_runs_stand_side_by_side(place: SimpleNamespace, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    try:
        assert _started(place, "redis") != _started(place, "redis", MQTRACE_BROKERS_DIR=other)
    finally:
        place.run("down", "--erase", MQTRACE_BROKERS_DIR=other)


def test_a_port_that_somebody_else_has_is_said_and_not_taken(place: SimpleNamespace) -> None:
    if shutil.which("redis-server", path=f"{os.environ['PATH']}:/usr/bin") is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = place.run("up", "--no-install", "redis", MQTRACE_REDIS_PORT=str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port} is taken: write another into MQTRACE_REDIS_PORT" in done.stderr


def test_it_listens_on_this_machine_only_and_is_gone_after_down(place: SimpleNamespace) -> None:
    url = _started(place, "redis")["REDIS_URL"]
    port = int(url.rpartition(":")[2].partition("/")[0])
    assert url == f"redis://127.0.0.1:{port}/0"
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert place.run("down", "redis").returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def _values(bootstrap: str, topic: str, count: int) -> Sequence[bytes | None]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kafka_that_was_killed_comes_back_with_its_records_on_its_port(place: SimpleNamespace) -> None:
    bootstrap = _started(place, "kafka")["KAFKA_BOOTSTRAP"]
    values = [str(number).encode() for number in range(100)]
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce("kept", value)
    assert producer.flush(30) == 0
    (pid,) = _processes(place.folder, "kafka")
    os.kill(pid, signal.SIGKILL)
    assert _started(place, "kafka")["KAFKA_BOOTSTRAP"] == bootstrap
    assert _processes(place.folder, "kafka") != [pid]
    assert _values(bootstrap, "kept", len(values)) == values
