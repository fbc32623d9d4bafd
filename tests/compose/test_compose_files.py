"""The docker compose files: read by people, started by people, so their shape is held here without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # the stubs are one more package for three lines

_COMPOSE = Path(__file__).resolve().parents[2] / "compose"
_FILES = sorted(_COMPOSE.glob("*.yml"))


def _read(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_there_is_a_file_for_each_broker_one_for_the_readers_and_one_for_a_database() -> None:
    assert {file.stem for file in _FILES} == {"kafka", "rabbitmq", "redis", "observability", "clickhouse"}


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_every_port_is_bound_to_this_machine_only(file: Path) -> None:
    for name, service in _read(file)["services"].items():
        ports = service.get("ports", [])
        assert ports or "extends" in service, f"{name} cannot be reached"
        for port in ports:
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"
        assert service.get("network_mode") != "host"


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_every_image_has_a_version_and_every_file_it_mounts_is_here(file: Path) -> None:
    for name, service in _read(file)["services"].items():
        if "extends" in service:
            extended = _read(_COMPOSE / service["extends"]["file"])["services"]
            assert service["extends"]["service"] in extended
            continue
        tag = service["image"].partition(":")[2]
        assert tag[:1].isdigit(), f"{name}: {service['image']}"
        for volume in service.get("volumes", []):
            assert (_COMPOSE / volume.partition(":")[0]).is_file(), volume


@pytest.mark.parametrize("reader", ["otelcol", "jaeger"])
def test_the_readers_read_the_span_topic_from_its_start_each_in_its_own_group(reader: str) -> None:
    kafka = _read(_COMPOSE / reader / "config.yaml")["receivers"]["kafka"]
    assert kafka["traces"] == {"topics": ["otlp_spans"], "encoding": "otlp_proto"}
    assert (kafka["group_id"], kafka["initial_offset"]) == (reader, "earliest")


@pytest.mark.parametrize("reader", ["otelcol", "jaeger"])
def test_every_part_of_a_readers_pipeline_is_configured(reader: str) -> None:
    config = _read(_COMPOSE / reader / "config.yaml")
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(config[kind])
    assert set(config["service"].get("extensions", [])) <= set(config.get("extensions", {}))


def test_containers_reach_kafka_by_the_address_it_advertises_to_them() -> None:
    environment = _read(_COMPOSE / "kafka.yml")["services"]["kafka"]["environment"]
    assert "INTERNAL://kafka:9092" in environment["KAFKA_ADVERTISED_LISTENERS"]
    for reader in ("otelcol", "jaeger"):
        assert _read(_COMPOSE / reader / "config.yaml")["receivers"]["kafka"]["brokers"] == ["kafka:9092"]
