"""Zipkin 3.6 from Maven. It reads the topic zipkin into memory; ``/api/v2/trace/ID`` gives a trace.

Its port is set on armeria's list and not by QUERY_PORT, which would listen on every interface.
"""

from __future__ import annotations

import time
from pathlib import Path

from brokers.place import Place, cached
from brokers.ports import HOST
from brokers.process import Process, spawn
from brokers.software import copy_artifact, java
from brokers.span_topic import group_of, responds, span_kafka
from brokers.trouble import say

__all__ = ["Zipkin"]

VERSION = "3.6.1"


class Zipkin:
    name = "zipkin"
    port_variable = "MQTRACE_ZIPKIN_PORT"
    usual_port = 19411

    def exports(self, port: int, place: Place) -> dict[str, str]:
        return {"ZIPKIN_URL": f"http://{HOST}:{port}"}

    def prepare(self) -> None:
        java()
        self._jar()

    def _jar(self) -> str:
        def fetch(empty: Path) -> None:
            say("zipkin: fetching the jar, 135 MB")
            copy_artifact(f"io.zipkin:zipkin-server:{VERSION}:jar:exec", empty)

        return str(next(cached(f"zipkin-{VERSION}", fetch).glob("*.jar")))

    def start(self, place: Place, port: int) -> list[Process]:
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": span_kafka("zipkin"),
            # What it keeps is in memory: a new group reads everything again.
            "KAFKA_GROUP_ID": f"{group_of(self.name)}-{int(time.time())}",
            "STORAGE_TYPE": "mem",
        }
        settings = {"ip": HOST, "port": str(port), "protocols[0]": "http"}
        command = [java(), "-Xmx512m", "-XX:+UseSerialGC"]
        command += [f"-Darmeria.ports[0].{name}={value}" for name, value in settings.items()]
        return [spawn([*command, "-jar", self._jar()], log=place.log, cwd=place.folder, environment=environment)]

    def answers(self, port: int) -> bool:
        """Its own word, which includes that of its Kafka reader."""
        return responds(port, "/health")
