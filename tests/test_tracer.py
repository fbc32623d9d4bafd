"""A tracer: sampling at the root, parents, rules, contexts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest

import mqtrace
from mqtrace.sampling import Adaptive, ParentBased, Probability, RateLimit, Rule
from mqtrace.testing import FakeClock, record

SAMPLED = {"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01"}
UNSAMPLED = {"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-00"}


class Mine:
    """A sampler of one's own that keeps what it was asked."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    def sample(
        self, trace_id: str, name: str, kind: str, destination: str | None, attributes: Mapping[str, Any]
    ) -> bool:
        self.asked.append((trace_id, name, kind, destination, dict(attributes)))
        return self.answer


def test_a_sampler_is_asked_for_roots_only() -> None:
    mine = Mine()
    with record(sampler=mine) as spans:
        with spans.tracer.start_span("root", kind="server", attributes={"k": "v"}) as root:
            spans.tracer.start_span("child").end()
        spans.tracer.start_span("remote", parent=spans.tracer.extract(SAMPLED)).end()
    assert mine.asked == [(root.trace_id, "root", "server", None, {"k": "v"})]
    assert len(spans) == 3


def test_a_samplers_no_is_a_trace_that_travels_unsampled() -> None:
    with record(sampler=Mine(False)) as spans, spans.tracer.start_span("root") as root:
        carrier: dict[str, str] = {}
        spans.tracer.inject(carrier)
        assert spans.tracer.start_span("child").trace_id == root.trace_id
    assert carrier["traceparent"][3:35] == root.trace_id
    assert carrier["traceparent"].endswith("-02")
    assert not spans


def test_a_sampler_that_raises_records_nothing_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def sample(self, *asked: Any) -> bool:
            raise RuntimeError("no idea")

    with record(sampler=Broken()) as spans:
        for _ in range(3):
            spans.tracer.start_span("root").end()
    assert not spans
    assert len(caplog.records) == 1


def test_a_parents_flag_is_followed_unless_the_sampler_says_otherwise() -> None:
    with record(sampler=0.0) as spans:
        spans.tracer.start_span("followed", parent=spans.tracer.extract(SAMPLED)).end()
        spans.tracer.start_span("not", parent=spans.tracer.extract(UNSAMPLED)).end()
    assert [span.name for span in spans] == ["followed"]
    with record(sampler=ParentBased(1.0, remote_sampled=0.0, remote_not_sampled=1.0)) as spans:
        refused = spans.tracer.start_span("refused", parent=spans.tracer.extract(SAMPLED))
        spans.tracer.start_span("taken", parent=spans.tracer.extract(UNSAMPLED)).end()
        with spans.tracer.start_span("local"):
            spans.tracer.start_span("child").end()
    assert [span.name for span in spans] == ["taken", "child", "local"]
    assert spans[0].identity.endswith(b"-01")
    carrier: dict[str, str] = {}
    spans.tracer.inject(carrier, refused)
    assert carrier["traceparent"].endswith("-00")


def test_probability_says_its_threshold_in_tracestate() -> None:
    with record(sampler=Probability(0.9999)) as spans:
        for _ in range(20):
            spans.tracer.start_span("root").end()
    assert spans[0].trace_state == Probability(0.9999).state
    with record(sampler=1.0) as spans:
        spans.tracer.start_span("root").end()
    assert spans[0].trace_state == ""


def test_every_recorded_span_spends_a_credit_of_a_rate_limit() -> None:
    clock = FakeClock()
    with record(sampler=RateLimit(10, clock=clock)) as spans:
        for _ in range(5):
            with spans.tracer.start_span("root"):
                for _ in range(3):
                    spans.tracer.start_span("child").end()
    # three traces of four spans take twelve of ten credits; the third began with two left
    assert len(spans) == 12


def test_a_remote_parent_takes_one_credit_of_the_rate_limit_that_is_asked() -> None:
    limit = RateLimit(10, clock=FakeClock())
    with record(sampler=ParentBased(0.0, remote_sampled=limit)) as spans:
        for _ in range(20):
            spans.tracer.start_span("child", parent=spans.tracer.extract(SAMPLED)).end()
    assert len(spans) == 10


def test_a_samplers_own_attributes_may_have_any_name(caplog: pytest.LogCaptureFixture) -> None:
    class Own(Mine):
        threshold = 0.5
        state = ("closed",)

        def spend(self, amount: int) -> None:
            """Of a budget that has nothing to do with spans."""

    with record(sampler=Own()) as spans:
        for _ in range(3):
            with spans.tracer.start_span("root"):
                spans.tracer.start_span("child").end()
        spans.tracer.start_span("remote", parent=spans.tracer.extract(SAMPLED)).end()
    assert len(spans) == 7
    assert {span.trace_state for span in spans} == {""}
    assert len(caplog.records) == 1


LOW, HIGH = "0" * 14, "f" * 14


@pytest.mark.parametrize(
    ("low", "state", "recorded", "after"),
    [
        (HIGH, None, True, "ot=th:8"),
        (LOW, None, False, ""),
        # OpenTelemetry, "TraceState: Probability Sampling": explicit randomness goes before the trace id's
        (LOW, f"ot=rv:{HIGH}", True, f"ot=th:8;rv:{HIGH}"),
        (HIGH, f"ot=rv:{LOW}", False, f"ot=rv:{LOW}"),
        (HIGH, f"ot=rv:{LOW}0", True, f"ot=th:8;rv:{LOW}0"),
        # the parent's probability is not this decision's
        (HIGH, "x=1,ot=p:8;th:c", True, "ot=th:8;p:8,x=1"),
        (LOW, "x=1,ot=th:c", False, "x=1"),
        (LOW, "x=1,ot=th:c;p:8", False, "ot=p:8,x=1"),
        (HIGH, f"ot={'a' * 254}", True, None),
    ],
)
def test_a_sampler_that_is_asked_of_a_remote_parent_says_its_own_probability(
    low: str, state: str | None, recorded: bool, after: str | None
) -> None:
    headers = {"traceparent": f"00-{'a1' * 9}{low}-{'b2' * 8}-00"}
    if state is not None:
        headers["tracestate"] = state
    with record(sampler=ParentBased(1.0, remote_not_sampled=Probability(0.5))) as spans:
        span = spans.tracer.start_span("child", parent=spans.tracer.extract(headers))
    assert span.is_recording() is recorded
    assert span.trace_state == (after or "")


def test_a_decision_of_another_kind_takes_the_parents_probability_out() -> None:
    headers = {**SAMPLED, "tracestate": "x=1,ot=th:c"}
    for sampler in (Mine(), 1.0, RateLimit(10)):
        with record(sampler=ParentBased(1.0, remote_sampled=sampler)) as spans:
            span = spans.tracer.start_span("child", parent=spans.tracer.extract(headers))
        assert span.trace_state == "x=1"


def test_a_parent_that_is_followed_keeps_its_tracestate() -> None:
    with record(sampler=0.5) as spans:
        state = f"x=1,ot=th:c;rv:{LOW}"
        span = spans.tracer.start_span("child", parent=spans.tracer.extract({**SAMPLED, "tracestate": state}))
    assert span.trace_state == state


def test_a_decision_that_was_left_to_us_is_said_too() -> None:
    with record(sampler=0.5, propagators="b3") as spans:
        tracer = spans.tracer
        taken = tracer.start_span("child", parent=tracer.extract({"b3": f"{'a1' * 9}{HIGH}-{'b2' * 8}"}))
        refused = tracer.start_span("child", parent=tracer.extract({"b3": f"{'a1' * 9}{LOW}-{'b2' * 8}"}))
    assert (taken.is_recording(), taken.trace_state) == (True, "ot=th:8")
    assert (refused.is_recording(), refused.trace_state) == (False, "")


def test_an_error_raises_the_rate_of_its_destination(message: Any) -> None:
    sampler = Adaptive(1000)
    sampler._rate = 0.01
    with record(sampler=sampler, rules=[Rule("*", rate=1.0)]) as spans:
        with pytest.raises(ValueError), mqtrace.process(message(topic="orders")):
            raise ValueError
    assert len(spans) == 1
    assert sampler.rate_of("orders") > 0.09
    assert sampler.rate_of("payments") == 0.01


def test_rules_are_by_destination(message: Any) -> None:
    settings = {"ignored.*": "ignore", "rare.*": 0.0}
    with record(sampler=1.0, rules=settings) as spans:
        for topic in ("ignored.a", "rare.a", "orders"):
            with mqtrace.process(message(topic=topic)):
                pass
            with mqtrace.process(message(topic=topic, headers=[("traceparent", SAMPLED["traceparent"].encode())])):
                carrier: dict[str, str] = {}
                spans.tracer.inject(carrier)
                assert carrier["traceparent"][3:35] == "a1" * 16
    assert [span.name for span in spans] == ["process rare.a", "process orders", "process orders"]
    with record(rules=[Rule("o*", relation="link")]) as spans:
        with mqtrace.process(
            message(topic="orders", headers=[("traceparent", SAMPLED["traceparent"].encode())])
        ) as span:
            pass
    assert span.parent_id is None


def test_a_rule_of_a_rate_holds_for_roots_and_follows_parents(message: Any) -> None:
    with record(sampler=0.0, rules={"orders": 1.0}) as spans:
        with mqtrace.process(message(topic="orders")):
            pass
        with mqtrace.process(message(topic="other")):
            pass
    assert [span.name for span in spans] == ["process orders"]


@pytest.mark.parametrize("parent", [7, "x", object()])
def test_calls_of_start_span_that_cannot_be_meant_never_raise(parent: Any) -> None:
    with record() as spans:
        tracer: Any = spans.tracer
        tracer.start_span(7).end()
        tracer.start_span("a", kind="green").end()
        tracer.start_span("b", parent=parent).end()
        tracer.start_span("c", attributes=7).end()
        tracer.start_span("d", start_time="now").end()
        tracer.start_span("e", links=[7]).end()
        tracer.start_span("f", links=7).end()
    assert [span.name for span in spans] == ["unnamed", "a", "b", "c", "d", "e", "f"]
    assert spans.tracer.stats()["calls_ignored"] == 7


class Raising:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError

    def __bool__(self) -> bool:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __iter__(self) -> Any:
        raise ZeroDivisionError


def test_arguments_of_start_span_whose_own_methods_raise_are_ignored_and_counted() -> None:
    with record() as spans:
        tracer: Any = spans.tracer
        odd = Raising()
        tracer.start_span("a", kind=odd, parent=odd, links=odd, attributes=odd, start_time=odd).end()
        tracer.start_span(odd).end()
        tracer.start_span("b", parent=mqtrace.Context(b"short")).end()
        tracer.start_span("c", start_time=True).end()
        tracer.start_span("d", links=map(tracer.extract, [{}, 5])).end()  # the second of them is a TypeError
    assert [span.name for span in spans] == ["a", "unnamed", "b", "c", "d"]
    assert spans.tracer.stats()["calls_ignored"] == 10
    assert spans[3].start_time > 1


def test_a_names_enum_is_its_text() -> None:
    class Names(StrEnum):
        CHARGE = "charge card"

    with record() as spans:
        for _ in range(2):
            spans.tracer.start_span(Names.CHARGE).end()
    assert [type(span.name) for span in spans] == [str, str]
    assert spans[0].template is spans[1].template


def test_a_start_time_stays_when_the_wall_clock_is_set() -> None:
    clock = FakeClock()
    with record(clock=clock) as spans:
        span = spans.tracer.start_span("late", start_time=1_600_000_000_000_000_000)
        clock.set_wall(1_800_000_000_000_000_000)
        clock.refresh()
        span.end()
    assert spans[0].start_time == 1_600_000_000_000_000_000


def test_a_span_may_have_the_users_times_links_and_parent() -> None:
    with record() as spans:
        tracer = spans.tracer
        other = tracer.start_span("other")
        span = tracer.start_span(
            "late",
            kind="client",
            parent=None,
            links=[other, (tracer.extract(SAMPLED), {"why": "x"})],
            attributes={"k": [1, 2]},
            start_time=1_700_000_000_000_000_000,
        )
        span.end(1_700_000_000_000_000_500)
        other.end()
    late = spans[0]
    assert (late.start_time, late.end_time) == (1_700_000_000_000_000_000, 1_700_000_000_000_000_500)
    assert late.parent_id is None
    assert [link.context.trace_id for link in late.links] == [other.trace_id, "a1" * 16]
    assert late.links[1].attributes == {"why": "x"}
    assert late.attributes == {"k": (1, 2)}


def test_inject_and_extract_are_each_others_inverse() -> None:
    with record() as spans, spans.tracer.start_span("root") as span:
        carriers: list[Any] = [{}, [], [("Content-Type", b"x")], mqtrace.carriers.HttpHeaders({})]
        for carrier in carriers:
            spans.tracer.inject(carrier)
            assert spans.tracer.extract(carrier).span_id == span.span_id
    assert not spans.tracer.extract(None).is_valid
    with pytest.raises(TypeError):
        spans.tracer.extract(object())


@pytest.mark.parametrize("propagators", ["tracecontext", "tracecontext,baggage", "baggage,tracecontext", "b3", "none"])
@pytest.mark.parametrize("state", [None, "x=1", "=", 7])
@pytest.mark.parametrize("baggage", [None, "k=v", b"k=v"])
@pytest.mark.parametrize(
    "parent",
    [
        *(
            SAMPLED["traceparent"],
            UNSAMPLED["traceparent"],
            "00-nonsense",
            "",
            None,
            5,
            SAMPLED["traceparent"].encode(),
        ),
        *(f"cc-{'a1' * 16}-{'b2' * 8}-ff-later", f"00-{'A1' * 16}-{'b2' * 8}-01", f"00-{'0' * 32}-{'b2' * 8}-01"),
    ],
)
def test_a_dict_says_what_its_carrier_says(propagators: str, state: Any, baggage: Any, parent: Any) -> None:
    headers = {"traceparent": parent, "tracestate": state, "baggage": baggage, "b3": f"{'c3' * 16}-{'d4' * 8}-1"}
    native = {name: value for name, value in headers.items() if value is not None}
    with record(propagators=propagators) as spans:
        of_the_dict = spans.tracer.extract(native)
        malformed = spans.tracer.stats()["contexts_malformed"]
        assert spans.tracer.extract(mqtrace.carriers.Mapping(native)) == of_the_dict
        assert spans.tracer.stats()["contexts_malformed"] == 2 * malformed


@pytest.mark.parametrize("carrier", [(), (("a", b"b"),), None, MappingProxyType({})])
def test_inject_into_what_cannot_be_changed_is_counted(carrier: Any) -> None:
    with record() as spans, spans.tracer.start_span("root"):
        spans.tracer.inject(carrier)
        assert spans.tracer.stats()["calls_ignored"] == 1
        spans.tracer.inject({})
        spans.tracer.inject([])
        spans.tracer.inject(mqtrace.carriers.KafkaHeaders(()))
        assert spans.tracer.stats()["calls_ignored"] == 1


@pytest.mark.parametrize("context", [7, "x", mqtrace.Context(b"short")])
def test_inject_of_what_is_no_context_is_ignored_and_counted(context: Any) -> None:
    carrier: dict[str, str] = {}
    with record() as spans:
        spans.tracer.inject(carrier, context)
    assert not carrier
    assert spans.tracer.stats()["calls_ignored"] == 1


class RaisingNumber(float):
    def __float__(self) -> float:
        raise ZeroDivisionError


@pytest.mark.parametrize("timeout", [None, "5", [], float("nan"), RaisingNumber(5)])
def test_a_timeout_that_is_none_is_counted_and_the_default_holds(timeout: Any) -> None:
    tracer = mqtrace.Tracer("shop", exporter="none:")
    tracer.start_span("work").end()
    assert tracer.flush(timeout)
    assert tracer.shutdown(timeout)
    assert tracer.stats()["calls_ignored"] == 2


def test_a_timeout_may_be_as_long_as_one_likes() -> None:
    tracer = mqtrace.Tracer("shop", exporter="none:")
    tracer.start_span("work").end()
    assert tracer.flush(10**400)
    assert tracer.shutdown(float("inf"))


def test_what_came_malformed_is_counted() -> None:
    with record() as spans:
        assert not spans.tracer.extract({"traceparent": "nonsense"}).is_valid
        assert spans.tracer.stats()["contexts_malformed"] == 1


@pytest.mark.parametrize("kind", ["SERVER", "Server", "sErVeR"])
def test_a_kind_is_taken_in_any_case_and_said_once(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    with record() as spans:
        for _ in range(3):
            spans.tracer.start_span("a", kind=kind).end()
        assert spans.tracer.stats()["calls_ignored"] == 0
    assert {span.kind for span in spans} == {"server"}
    assert [entry.message for entry in caplog.records] == [
        f"kind={kind!r} is taken as 'server', which is how to write it"
    ]


class SpanKind(Enum):
    """As OpenTelemetry's: its members are no text."""

    CLIENT = 2


def test_a_kind_that_is_no_text_is_taken_by_its_name_or_said_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    kinds: list[Any] = [SpanKind.CLIENT, 3, None]
    with record() as spans:
        for kind in kinds:
            spans.tracer.start_span("a", kind=kind).end()
        assert spans.tracer.stats()["calls_ignored"] == 2
    assert [span.kind for span in spans] == ["client", "internal", "internal"]
    assert [entry.message.partition(":")[0] for entry in caplog.records] == [
        "kind=SpanKind is taken as 'client', which is how to write it",
        "kind=int is unknown",
        "kind=NoneType is unknown",
    ]


def test_a_link_is_taken_as_a_span_shows_it() -> None:
    with record() as spans:
        tracer = spans.tracer
        link = mqtrace.Link(tracer.extract(SAMPLED), {"why": "x"})
        first = tracer.start_span("first", links=[link])
        second = tracer.start_span("second", links=first.links)
        assert tracer.stats()["calls_ignored"] == 0
    assert first.links[0].context.trace_id == "a1" * 16
    assert first.links[0].attributes == {"why": "x"}
    assert second.links == first.links


def test_one_link_where_several_are_wanted_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with record() as spans:
        other = spans.tracer.start_span("other")
        for _ in range(2):
            links: Any = other
            assert not spans.tracer.start_span("a", links=links).links
        assert spans.tracer.stats()["calls_ignored"] == 2
    assert [entry.message for entry in caplog.records] == ["links=Span is not a list: write links=[...]"]


def test_an_unknown_kind_and_an_unknown_parent_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with record() as spans:
        for _ in range(3):
            spans.tracer.start_span("a", kind="worker").end()  # type: ignore[arg-type]  # that is the mistake
            spans.tracer.start_span("a", parent="00-abc").end()  # type: ignore[arg-type]  # that is the mistake
        assert spans.tracer.stats()["calls_ignored"] == 6
    assert {(span.kind, span.parent_id) for span in spans} == {("internal", None)}
    first, second = (entry.message for entry in caplog.records)
    assert "kind='worker' is unknown: write one of internal, producer" in first
    assert "parent=str is not a span or a Context" in second


def test_what_a_program_makes_up_anew_is_not_said_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    with record() as spans:
        for number in range(300):
            spans.tracer.start_span("a", kind=f"k{number}").end()  # type: ignore[arg-type]  # that is the mistake
    assert 0 < len(caplog.records) <= 100
