"""compose/up and compose/down: start what is missing, say where it is; stop what was started here, and nothing else."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from brokers import software
from brokers.jaeger import Jaeger
from brokers.kafka import Kafka
from brokers.otelcol import Collector
from brokers.place import Place, folder_of_run
from brokers.ports import free_port, is_free, wanted_port
from brokers.process import Process
from brokers.rabbitmq import RabbitMQ
from brokers.redis import Redis
from brokers.trouble import Trouble, say
from brokers.zipkin import Zipkin

__all__ = ["down", "up"]


class Service(Protocol):
    """What can be started. ``answers`` speaks the service's own protocol: a process or an open port proves nothing."""

    name: str
    port_variable: str
    usual_port: int

    def exports(self, port: int, place: Place) -> dict[str, str]: ...
    def prepare(self) -> None: ...
    def start(self, place: Place, port: int) -> list[Process]: ...
    def answers(self, port: int) -> bool: ...


#: Brokers first, then what reads the span topic: started in this order, stopped in the other.
SERVICES: dict[str, Service] = {
    service.name: service for service in (Kafka(), RabbitMQ(), Redis(), Collector(), Jaeger(), Zipkin())
}

_READY_WITHIN = 120.0  # s; a cold machine with two busy cores, not the 2 to 10 s of a good day
_END_WITHIN = 20.0  # s before SIGKILL
_PORT_WITHIN = 30.0  # s until a killed process lets go of its port


def up(arguments: Sequence[str]) -> int:
    """Start services; prints shell lines that say where they are."""
    parser = argparse.ArgumentParser(
        prog="compose/up",
        description="Start brokers on this machine without Docker, on 127.0.0.1, and return when they answer. "
        'stdout is for the shell: eval "$(compose/up kafka)".',
        epilog="Environment: MQTRACE_BROKERS_DIR (data; .brokers), MQTRACE_CACHE_DIR (downloads; ~/.cache/mqtrace), "
        + ", ".join(f"{service.port_variable} ({service.usual_port})" for service in SERVICES.values())
        + "; port 0 is any free one.",
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(SERVICES)}; kafka if left out")
    parser.add_argument("--running", action="store_true", help="start nothing: say where those are that run, or fail")
    parser.add_argument("--no-install", action="store_true", help="install no package, also where this is root")
    parser.add_argument("--no-build", action="store_true", help="build nothing: start what was built before, or fail")
    parser.add_argument("--prepare", action="store_true", help="download and build what is missing, and start nothing")
    asked = parser.parse_args(arguments)
    software.may_install, software.may_build = not asked.no_install, not asked.no_build
    try:
        for name in _known(parser, asked.names) or ["kafka"]:
            service = SERVICES[name]
            if asked.prepare:
                service.prepare()
                continue
            place = Place(name)
            if asked.running:  # without the lock: the first start of a reader may hold it for minutes
                port = _running(service, place)
            else:
                with place.locked():
                    port = _start(service, place)
            for variable, value in service.exports(port, place).items():
                sys.stdout.write(f"export {variable}={shlex.quote(value)}\n")
            sys.stdout.flush()
    except Trouble as trouble:
        say(f"compose/up: {trouble}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def down(arguments: Sequence[str]) -> int:
    """Stop services that ``up`` started in this folder."""
    parser = argparse.ArgumentParser(
        prog="compose/down",
        description="Stop what compose/up started in this folder (MQTRACE_BROKERS_DIR); "
        "the data stays for the next start.",
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(SERVICES)}; all of them if left out")
    parser.add_argument("--erase", action="store_true", help="remove their data, too")
    asked = parser.parse_args(arguments)
    for name in reversed(_known(parser, asked.names) or list(SERVICES)):
        if not (folder_of_run() / name).is_dir():
            continue
        place = Place(name)
        with place.locked():
            if _stop(place):
                say(f"{name}: stopped")
            place.forget(erase=asked.erase)
    return 0


def _known(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in SERVICES:
            parser.error(f"there is no {name!r} here; there are {', '.join(SERVICES)}")
    return list(dict.fromkeys(names))


def _running(service: Service, place: Place) -> int:
    port, processes = place.known()
    if port is None or not processes or not _answers_within(service, port, processes, 5.0):
        raise Trouble(f"no {service.name} of {place.folder} runs: start it with `compose/up {service.name}`.")
    return port


def _start(service: Service, place: Place) -> int:
    """Make the service answer; gives its port. Called with the lock of the place."""
    wish = wanted_port(service.port_variable)
    last, processes = place.known()
    if last is not None and processes and all(process.alive for process in processes):
        if wish not in (None, 0, last):
            raise Trouble(
                f"{service.name} of {place.folder} runs on port {last}, not {wish}: "
                f"`compose/down {service.name}` first, or name another folder in MQTRACE_BROKERS_DIR."
            )
        if _answers_within(service, last, processes, 15.0):
            say(f"{service.name}: runs already on port {last}")
            return last
        say(f"{service.name}: runs but does not answer, starting it again")
    _stop(place)
    service.prepare()
    port = _choose(service, wish, last)
    began = time.monotonic()
    say(f"{service.name}: starting on port {port}")
    try:
        processes = service.start(place, port)
        place.note(port, processes)
        if not _answers_within(service, port, processes, _READY_WITHIN):
            raise Trouble(f"{service.name} does not answer; its log ({place.log}) ends with:\n{place.last_words()}")
    except BaseException:
        _stop(place)
        raise
    say(f"{service.name}: answers on port {port} after {time.monotonic() - began:.1f} s")
    return port


def _choose(service: Service, wish: int | None, last: int | None) -> int:
    """The port asked for, else the last run's, else the usual one, else any free one."""
    if wish:
        if not is_free(wish, _PORT_WITHIN if wish == last else 0.0):
            raise Trouble(f"port {wish} is taken: write another into {service.port_variable}, or 0 for any free one.")
        return wish
    if last is not None and is_free(last, _PORT_WITHIN):
        return last
    if wish is None and is_free(service.usual_port):
        return service.usual_port
    return free_port()


def _answers_within(service: Service, port: int, processes: Sequence[Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not all(process.alive for process in processes):
            return False
        if service.answers(port):
            return True
        time.sleep(0.1)
    return False


def _stop(place: Place) -> bool:
    """End the processes of the last run, last started first; says whether any was alive."""
    port, processes = place.known()
    living = [process for process in processes if process.alive]
    for process in reversed(living):
        process.end(_END_WITHIN)
    if living and port is not None:
        is_free(port, _PORT_WITHIN)
    return bool(living)
