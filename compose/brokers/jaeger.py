"""Jaeger 2.13 (module v1.76.0), built from the Go module proxy once (4 to 6 minutes) and kept in the cache.

It reads the topic otlp_spans, and what is posted to JAEGER_OTLP_URL, into memory; ``/api/v3/traces/ID`` of JAEGER_URL
gives a trace as OTLP JSON under ``result``.
``go install`` refuses its go.mod for a replace directive, so it is built in the folder that the proxy's copy lies in.
"""

from __future__ import annotations

import json
from pathlib import Path

from brokers.place import Place, cached
from brokers.ports import HOST, free_port
from brokers.process import Process, spawn
from brokers.software import go, say_building
from brokers.span_topic import group_of, responds, span_kafka

__all__ = ["Jaeger"]

MODULE = "github.com/jaegertracing/jaeger"
VERSION = "2.13.0"
# A file of its folder: only the port that people open is chosen by them.
_OTLP_PORT = "otlp_port"

_CONFIG = """\
extensions:
  healthcheckv2:
    use_v2: true
    http: {{endpoint: "{host}:{health}"}}
  jaeger_storage:
    backends:
      memory: {{memory: {{max_traces: 100000}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "{host}:{port}"}}
    grpc: {{endpoint: "{host}:{grpc}"}}
    enable_tracing: false
receivers:
  kafka:
    brokers: ["{kafka}"]
    protocol_version: 2.1.0
    group_id: {group}
    initial_offset: earliest
    traces: {{topic: otlp_spans, encoding: otlp_proto}}
  otlp:
    protocols:
      http: {{endpoint: "{host}:{otlp}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
service:
  extensions: [healthcheckv2, jaeger_storage, jaeger_query]
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [kafka, otlp], exporters: [jaeger_storage_exporter]}}
"""


class Jaeger:
    name = "jaeger"
    port_variable = "MQTRACE_JAEGER_PORT"
    usual_port = 16686

    def exports(self, port: int, place: Place) -> dict[str, str]:
        otlp = (place.folder / _OTLP_PORT).read_text(encoding="ascii")
        return {"JAEGER_URL": f"http://{HOST}:{port}", "JAEGER_OTLP_URL": f"http://{HOST}:{otlp}"}

    def prepare(self) -> None:
        self._program()

    def _program(self) -> str:
        return str(cached(f"jaeger-{VERSION}", _build) / "jaeger")

    def start(self, place: Place, port: int) -> list[Process]:
        config = place.folder / "config.yaml"
        # What it keeps is in memory: after a restart it reads everything again, in a group named by its new port.
        group = f"{group_of(self.name)}-{(grpc := free_port())}"
        otlp = free_port()
        (place.folder / _OTLP_PORT).write_text(str(otlp), encoding="ascii")
        text = _CONFIG.format(
            kafka=span_kafka("otlp_spans"), group=group, host=HOST, port=port, grpc=grpc, otlp=otlp, health=free_port()
        )
        config.write_text(text, encoding="utf-8")
        return [spawn([self._program(), "--config", str(config)], log=place.log, cwd=place.folder)]

    def answers(self, port: int) -> bool:
        return responds(port, "/api/v3/services")


def _build(empty: Path) -> None:
    say_building("jaeger", "4 to 6")
    source = json.loads(go("mod", "download", "-json", f"{MODULE}@v1.76.0", cwd=empty))["Dir"]
    flags = f"-s -w -X {MODULE}/internal/version.latestVersion=v{VERSION}"
    go("build", "-trimpath", "-ldflags", flags, "-o", str(empty / "jaeger"), "./cmd/jaeger", cwd=Path(source))
