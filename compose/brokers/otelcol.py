"""The OpenTelemetry Collector 0.158, built from the Go module proxy once (2 to 3 minutes) and kept in the cache.

It reads the topic otlp_spans, and what is posted to OTELCOL_URL, and writes a line of OTLP JSON (a TracesData) for each
message and request into OTELCOL_FILE.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from brokers.place import CHECKOUT, Place, cached, fingerprint
from brokers.ports import HOST
from brokers.process import Process, spawn
from brokers.software import go, say_building
from brokers.span_topic import group_of, responds, span_kafka
from brokers.trouble import Trouble

__all__ = ["Collector"]

VERSION = "0.158.0"
_MANIFEST = CHECKOUT / "compose" / "otelcol" / "builder.yaml"

_CONFIG = """\
receivers:
  kafka:
    brokers: ["{kafka}"]
    protocol_version: 2.1.0
    group_id: {group}
    initial_offset: earliest
    traces: {{topics: [otlp_spans], encoding: otlp_proto}}
  otlp:
    protocols:
      http: {{endpoint: "{host}:{port}"}}
exporters:
  file: {{path: "{file}", flush_interval: 100ms}}
service:
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [kafka, otlp], exporters: [file]}}
"""


class Collector:
    name = "otelcol"
    port_variable = "MQTRACE_OTELCOL_PORT"
    usual_port = 19318

    def exports(self, port: int, place: Place) -> dict[str, str]:
        return {"OTELCOL_FILE": str(place.folder / "spans.jsonl"), "OTELCOL_URL": f"http://{HOST}:{port}"}

    def prepare(self) -> None:
        self._program()

    def _program(self) -> str:
        return str(cached(f"otelcol-{VERSION}-{fingerprint(_MANIFEST)}", _build) / "otelcol")

    def start(self, place: Place, port: int) -> list[Process]:
        config = place.folder / "config.yaml"
        file = place.folder / "spans.jsonl"
        kafka = span_kafka("otlp_spans")
        text = _CONFIG.format(kafka=kafka, group=group_of(self.name), host=HOST, port=port, file=file)
        config.write_text(text, encoding="utf-8")
        return [spawn([self._program(), "--config", str(config)], log=place.log, cwd=place.folder)]

    def answers(self, port: int) -> bool:
        return responds(port, "/v1/traces", b"{}")


def _build(empty: Path) -> None:
    say_building("otelcol", "2 to 3")
    go("install", f"go.opentelemetry.io/collector/cmd/builder@v{VERSION}", cwd=empty, GOBIN=str(empty))
    manifest = _MANIFEST.read_text(encoding="utf-8")
    (empty / "builder.yaml").write_text(
        manifest.replace("dist:\n", "dist:\n  output_path: ./built\n"), encoding="utf-8"
    )
    done = subprocess.run(
        [str(empty / "builder"), "--config", "builder.yaml"],
        cwd=empty,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"},
        check=False,
    )
    if done.returncode:
        raise Trouble(f"the Collector's builder failed:\n{(done.stderr or done.stdout).strip()[-1500:]}")
    (empty / "built" / "otelcol").rename(empty / "otelcol")
