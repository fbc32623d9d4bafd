"""Templates: what every span of one operation has in common, said once and encoded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from mqtrace import core

Make = Callable[..., core.Template]


class Asks:
    threshold: bytes | None = None
    state: str | None = None
    follows = False


def test_what_it_encodes_is_the_name_the_kind_and_the_attributes(template: Make) -> None:
    read = trace_pb2.Span.FromString(template("send orders", "producer", {"messaging.system": "kafka"}).encoded)
    assert (read.name, read.kind) == ("send orders", trace_pb2.Span.SPAN_KIND_PRODUCER)
    assert [(one.key, one.value.string_value) for one in read.attributes] == [("messaging.system", "kafka")]


def test_the_attributes_it_was_given_may_change_and_its_own_do_not(template: Make) -> None:
    given = {"a": "1"}
    made = template(attributes=given)
    given["b"] = "2"
    assert dict(made.attributes) == {"a": "1"}
    with pytest.raises(TypeError):
        made.attributes["b"] = "2"  # type: ignore[index]  # a read-only view


def test_the_same_operation_with_one_attribute_more_keeps_everything_else(template: Make) -> None:
    made = template("send orders", "producer", {"a": "1"}, destination="orders", relation="link")
    more = made.with_attribute("b", True)
    assert dict(more.attributes) == {"a": "1", "b": True}
    for same in ("name", "kind", "destination", "relation", "sampling", "pipeline", "propagate_only"):
        assert getattr(more, same) == getattr(made, same)


def test_as_client_it_differs_in_its_kind_and_is_made_once(template: Make) -> None:
    made = template("send orders", "producer", {"a": "1"})
    client = made.as_client()
    assert (client.kind, client.name, dict(client.attributes)) == ("client", "send orders", {"a": "1"})
    assert made.as_client() is client


@pytest.mark.parametrize(
    ("options", "follows"),
    [
        ({}, True),
        ({"relation": "link"}, False),
        ({"propagate_only": True}, False),
        ({"sampling": Asks()}, False),
        ({"name": "n" * 5000}, False),
    ],
)
def test_it_follows_the_parent_only_where_nothing_else_has_a_say(template: Make, options: Any, follows: bool) -> None:
    assert template(**options).follows_parent_only is follows


def test_where_spans_are_budgeted_children_are_counted_too(pipeline: core.Pipeline, template: Make) -> None:
    pipeline.spend = lambda: None
    assert not template().follows_parent_only


def test_templates_of_one_threshold_share_the_roots_made_ahead(template: Make) -> None:
    assert template("a").roots is template("b").roots is not None
    assert template(sampling=Asks()).roots is None


def test_a_long_name_weighs_what_it_keeps(template: Make) -> None:
    assert template("send orders").weight == 0
    assert template("n" * 5000).weight >= 10_000
