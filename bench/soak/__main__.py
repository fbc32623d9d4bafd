"""``make soak``: run it, print the counts, and fail on one span unaccounted for."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented, not in __all__

from .account import balance, faults_of_ended, faults_of_names, faults_of_stats
from .kafka import Kafka
from .runner import ROOT, Runner
from .topic import SpanTopic

_SPANS: Final = "soak-spans"
_PARTITIONS: Final = 4


def main(arguments: list[str] | None = None) -> int:
    """Its exit status: 0, or 1 where a span is unaccounted for or a process did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long the load lasts (3)")
    parser.add_argument("--rate", type=int, default=5_000, help="spans a second (5,000)")
    options = parser.parse_args(arguments)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    say(f"starting a Kafka, then {options.minutes:g} minutes of {options.rate:,} spans a second")
    with tempfile.TemporaryDirectory(prefix="mqtrace-soak-") as folder:
        kafka = Kafka(Path(folder))
        try:
            return _soak(kafka, options.minutes * 60, options.rate, say)
        finally:
            kafka.end()


def _soak(kafka: Kafka, seconds: float, rate: int, say: Callable[[str], None]) -> int:
    say(f"the broker is at {kafka.address}")
    admin = AdminClient({"bootstrap.servers": kafka.address, "log_level": 0})
    admin.create_topics([NewTopic(_SPANS, _PARTITIONS, 1)])[_SPANS].result(timeout=30)
    del admin
    topic = SpanTopic(kafka.address, _SPANS, _PARTITIONS)
    runner = Runner(kafka, f"kafka://{kafka.address}/{_SPANS}", say)
    command = [sys.executable, "-m", "bench.soak.load", kafka.address, _SPANS, str(rate)]
    said: list[dict[str, Any]] = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        # what was asserted of stdout does not hold within a lambda, to the type checker
        listener = threading.Thread(target=lambda: said.extend(map(json.loads, load.stdout)))  # type: ignore[arg-type]
        listener.start()
        try:
            runner.run(time.monotonic() + seconds)
            load.stdin.close()
            status = load.wait(120)
            listener.join()
        except BaseException:
            load.kill()
            raise
    say("the load has ended; reading the topic to its end")
    faults = [] if topic.close() else ["the topic could not be read to its end"]
    faults += _judge_load(status, said, topic)
    faults += _judge_children(said, topic, runner)
    faults += _judge_terminated(topic, runner)
    for fault in faults:
        print(f"FAULT: {fault}")
    print("FAILED" if faults else "every span is accounted for")
    return 1 if faults else 0


def _judge_load(status: int, said: list[dict[str, Any]], topic: SpanTopic) -> list[str]:
    end = next((line for line in said if line.get("end")), None)
    if status or end is None:
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        return [f"the process under load ended with {name} and said{'' if end else ' not'} its counts"]
    stats, found = end["stats"], topic.found("load")
    dropped = {reason: count for reason, count in stats["spans_dropped"].items() if count}
    print(
        f"load: {end['made']:,} spans made in {end['seconds']:.0f} s ({end['made'] / end['seconds']:,.0f} a second): "
        f"{end['sent']:,} sends, {end['handled']:,} handled ({end['failed']:,} failed), {end['hostile']:,} messages "
        f"with hostile headers; {end['refused']:,} sends refused by a full client\n"
        f"      {end['hostile_names']:,} messages with a header's name that is not UTF-8, met "
        f"{end['unreadable']:,} times by the handler\n"
        f"      ended {stats['spans_ended']:,} = exported {stats['spans_exported']:,} + queued {stats['spans_queued']} "
        f"+ in flight {stats['spans_in_flight']} + dropped {dropped or 0}; on the topic {found.spans:,}, "
        f"{found.again:,} of them again; contexts malformed {stats['contexts_malformed']:,}\n"
        f"      looked at {end['looks']:,} times, of which {len(end['unbalanced'])} did not add up"
    )
    faults = faults_of_stats("load", end["made"], stats, found)
    faults += faults_of_names(end["hostile_names"], end["unreadable"])
    faults += [f"load: meanwhile {balance(each)} spans unaccounted for: {each}" for each in end["unbalanced"]]
    return faults


def _judge_children(said: list[dict[str, Any]], topic: SpanTopic, runner: Runner) -> list[str]:
    faults = [f"a child of the load hangs: {line['hangs']}" for line in said if "hangs" in line]
    ends = {line["child"]: line for line in said if "status" in line}
    counted = sum(1 for line in said if "made" in line and "child" in line)
    well = spans = 0
    for line in said:
        if "child" not in line or "made" not in line:
            continue
        pid = line["child"]
        who, found = f"child {pid}", topic.found(f"child {pid}")
        spans += found.spans
        end = ends.pop(pid, None)
        if end is None:
            continue  # said above
        if end["status"] != line.get("expected", 0):
            faults.append(f"{who} ended with {end['status']}")
        if "stats" in line:
            faults += faults_of_stats(who, line["made"], line["stats"], found)
        else:
            was_well = runner.was_well(line["begun_at"], end["ended_at"])
            well += was_well
            faults += faults_of_ended(f"{who} ({line['way']})", line["made"], line["made"], found, broker_well=was_well)
    faults += [f"child {pid} ended with {end['status']}, and said no count" for pid, end in ends.items()]
    print(f"forked children: {counted}, {spans:,} spans on the topic; {well} said nothing and left all theirs")
    return faults


def _judge_terminated(topic: SpanTopic, runner: Runner) -> list[str]:
    faults = []
    for one in runner.ended:
        was_well = runner.was_well(one.begun_at, one.ended_at)
        if one.status != -signal.SIGTERM:
            faults.append(f"{one.who} ended with {one.status}")
        faults += faults_of_ended(one.who, one.least, one.most, topic.found(one.who), broker_well=was_well)
    print(f"processes ended by SIGTERM: {len(runner.ended)}, {sum(one.least for one in runner.ended):,} spans")
    return faults


if __name__ == "__main__":
    sys.exit(main())
