"""Samplers: which traces, how many, and what they refuse to be made of."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtrace.errors import ConfigurationError
from mqtrace.sampling import (
    Adaptive,
    Always,
    Never,
    ParentBased,
    Probability,
    RateLimit,
    Rule,
    from_argument,
    from_environment,
    rules,
)
from mqtrace.testing import FakeClock

trace_ids = st.integers(1, (1 << 128) - 1).map("{:032x}".format)


def ask(sampler: Any, trace_id: str = "f" * 32, destination: str | None = "orders") -> bool:
    return bool(sampler.sample(trace_id, "send orders", "producer", destination, {}))


# ---------------------------------------------------------------------- probability


@pytest.mark.parametrize(
    ("rate", "state"),
    [
        # the examples of OpenTelemetry's "TraceState: Probability Sampling"
        (1, "ot=th:0"),
        (0.5, "ot=th:8"),
        (0.25, "ot=th:c"),
        (1 / 3, "ot=th:aaab"),
        (0.01, "ot=th:fd70a"),
    ],
)
def test_the_threshold_is_written_as_opentelemetry_does(rate: float, state: str) -> None:
    assert Probability(rate).state == state


@given(st.floats(0, 1), trace_ids)
def test_what_is_compared_is_what_is_written(rate: float, trace_id: str) -> None:
    sampler = Probability(rate)
    if sampler.state is None:
        assert not ask(sampler, trace_id)
        return
    threshold = int(sampler.state.removeprefix("ot=th:").ljust(14, "0"), 16)
    assert ask(sampler, trace_id) is (int(trace_id[-14:], 16) >= threshold)


@given(st.floats(0, 1), st.floats(0, 1), trace_ids)
def test_a_lower_rate_records_a_subset(one: float, other: float, trace_id: str) -> None:
    low, high = sorted((one, other))
    assert not ask(Probability(low), trace_id) or ask(Probability(high), trace_id)


@given(st.floats(1e-6, 1))
def test_the_threshold_is_the_rate_to_four_digits(rate: float) -> None:
    kept = 1 - int(Probability(rate).threshold, 16) / (1 << 56)
    assert kept == pytest.approx(rate, rel=1e-3)


def test_a_tenth_is_a_tenth() -> None:
    source = random.Random(1)
    sampler = Probability(0.1)
    kept = sum(ask(sampler, f"{source.getrandbits(128):032x}") for _ in range(50_000))
    assert 4700 < kept < 5300


# ---------------------------------------------------------------------- rate limit


def test_credit_is_spent_and_grows_again() -> None:
    clock = FakeClock()
    sampler = RateLimit(10, clock=clock)
    assert [ask(sampler) for _ in range(12)] == [True] * 10 + [False] * 2
    clock.advance(0.25)
    assert [ask(sampler) for _ in range(4)] == [True, True, False, False]


def test_an_idle_hour_pays_for_no_flood() -> None:
    """FAULTS 20."""
    clock = FakeClock()
    sampler = RateLimit(10, burst=20, clock=clock)
    clock.advance(3600)
    assert sum(ask(sampler) for _ in range(10_000)) == 20


def test_the_spans_of_a_trace_that_began_are_recorded_and_paid_for_later() -> None:
    clock = FakeClock()
    sampler = RateLimit(10, clock=clock)
    assert ask(sampler)
    for _ in range(29):
        sampler.spend()
    clock.advance(2)
    assert not ask(sampler)
    clock.advance(0.2)
    assert ask(sampler)


def test_the_volume_is_bounded_over_time_with_children_too() -> None:
    clock = FakeClock()
    sampler = RateLimit(100, clock=clock)
    spans = 0
    for _ in range(20_000):
        clock.advance(0.001)
        if ask(sampler):
            spans += 5
            for _ in range(4):
                sampler.spend()
    assert 2000 <= spans <= 2000 + 100 + 5


def test_a_clock_that_goes_back_gives_nothing_twice() -> None:
    now = 100.0
    sampler = RateLimit(1, clock=lambda: now)
    assert ask(sampler)
    now = 50.0
    assert not ask(sampler)
    now = 51.0
    assert ask(sampler)


def test_threads_together_get_no_more_than_the_burst() -> None:
    sampler = RateLimit(1, burst=500, clock=lambda: 0.0)
    passed: list[int] = []

    def hammer() -> None:
        passed.append(sum(ask(sampler) for _ in range(2000)))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 500


# ---------------------------------------------------------------------- adaptive


class Load:
    """Roots at a pace, on a clock of its own."""

    def __init__(self, per_second: float = 100, **options: Any) -> None:
        self.clock = FakeClock()
        self.sampler = Adaptive(per_second, clock=self.clock, **options)
        self.source = random.Random(7)

    def run(self, pace: int, seconds: int, destination: str = "orders") -> list[int]:
        """How many were recorded in each second."""
        recorded = []
        for _ in range(seconds):
            count = 0
            for _ in range(pace):
                self.clock.advance(1 / pace)
                count += ask(self.sampler, f"{self.source.getrandbits(128):032x}", destination)
            recorded.append(count)
        return recorded


@pytest.mark.parametrize("pace", [200, 1000, 10_000])
def test_it_settles_at_the_target(pace: int) -> None:
    recorded = Load().run(pace, 10)
    assert all(70 < count < 130 for count in recorded[6:])


def test_what_is_below_the_target_is_recorded_whole() -> None:
    assert Load().run(50, 5) == [50] * 5


@pytest.mark.parametrize(("before", "after"), [(200, 10_000), (10_000, 200)])
def test_a_step_in_load_is_followed_within_seconds(before: int, after: int) -> None:
    load = Load()
    load.run(before, 8)
    recorded = load.run(after, 12)
    assert all(60 < count < 140 for count in recorded[8:])


def test_a_flood_after_an_idle_hour_is_held() -> None:
    load = Load()
    load.run(150, 5)
    load.clock.advance(3600)
    assert load.run(10_000, 1)[0] < 1000


def test_a_destination_that_fails_is_recorded_more_and_then_less_again() -> None:
    load = Load(half_life=5)
    load.run(10_000, 6)
    plain = load.sampler.rate_of("orders")
    load.sampler.failed("orders")
    assert load.sampler.rate_of("orders") == pytest.approx(10 * plain, rel=0.2)
    assert load.sampler.rate_of("payments") == pytest.approx(plain, rel=0.2)
    load.clock.advance(60)
    assert load.sampler.rate_of("orders") == pytest.approx(plain, rel=0.2)


def test_what_it_remembers_of_failures_is_bounded() -> None:
    sampler = Adaptive(100, destinations=3)
    for number in range(10):
        sampler.failed(f"queue-{number}")
    assert sampler.rate_of("queue-0") == sampler.rate
    assert len(sampler._failures) == 3


# ---------------------------------------------------------------------- what they are made of


@pytest.mark.parametrize(
    "make",
    [
        lambda: Probability(1.1),
        lambda: Probability(-0.1),
        lambda: Probability("half"),  # type: ignore[arg-type]  # that is the mistake
        lambda: Probability(True),
        lambda: Probability(float("nan")),
        lambda: RateLimit(0),
        lambda: RateLimit(10, burst=0.5),
        lambda: RateLimit(float("inf")),
        lambda: Adaptive(0),
        lambda: Adaptive(1, min_rate=0.5, max_rate=0.1),
        lambda: Adaptive(1, half_life=-1),
        lambda: ParentBased(ParentBased(1.0)),
        lambda: ParentBased(0.5, remote_sampled="yes"),
        lambda: from_argument(2),
        lambda: from_argument("0.1"),
        lambda: from_argument(Always),
        lambda: Rule(""),
        lambda: Rule(),
        lambda: Rule("x", task="y"),
        lambda: Rule(task=""),
        lambda: rules.from_argument({1: 0.1}),
        lambda: Rule("x", relation="child"),  # type: ignore[arg-type]  # that is the mistake
        lambda: Rule("x", ignore="false"),  # type: ignore[arg-type]  # as above
        lambda: Rule("x", rate=2),
        lambda: rules.from_argument("orders"),
        lambda: rules.from_argument([1]),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_says_what_to_write(make: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "write" in str(caught.value)


def test_a_rate_is_parent_based_and_a_sampler_stays_itself() -> None:
    assert isinstance(from_argument(1).root, Always)  # type: ignore[union-attr]  # a ParentBased
    assert isinstance(from_argument(0).root, Never)  # type: ignore[union-attr]  # as above
    assert isinstance(from_argument(0.5).root, Probability)  # type: ignore[union-attr]  # as above
    mine = RateLimit(5)
    assert from_argument(mine) is mine


@pytest.mark.parametrize(
    ("name", "argument", "root", "asked"),
    [
        ("always_on", "", Always, True),
        ("always_off", "", Never, True),
        ("traceidratio", "0.25", Probability, True),
        ("parentbased_always_on", "", Always, False),
        ("parentbased_always_off", "", Never, False),
        ("parentbased_traceidratio", "0.25", Probability, False),
        ("PARENTBASED_TRACEIDRATIO", "", Always, False),
    ],
)
def test_the_environment_names_opentelemetrys_samplers(name: str, argument: str, root: type, asked: bool) -> None:
    warnings: list[str] = []
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    sampler = from_environment(environ, warnings.append)
    assert sampler is not None
    assert isinstance(sampler.root, root)
    assert (sampler.remote_sampled is not None) is asked
    assert not warnings


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"},
    ],
)
def test_a_wrong_variable_is_one_warning(environ: dict[str, str]) -> None:
    warnings: list[str] = []
    from_environment(environ, warnings.append)
    assert len(warnings) == 1
    assert from_environment({}, warnings.append) is None
    assert len(warnings) == 1


def test_the_first_rule_that_matches_holds() -> None:
    found = rules.from_argument({"orders.debug": "ignore", "orders.*": 0.1, "*": 1.0})
    assert rules.first(found, "orders.debug").ignore  # type: ignore[union-attr]  # found
    assert isinstance(rules.first(found, "orders.eu").rate, Probability)  # type: ignore[union-attr]  # found
    assert isinstance(rules.first(found, "Orders.eu").rate, Always)  # type: ignore[union-attr]  # found
    assert rules.first((), "orders") is None


def test_a_rule_of_tasks_says_nothing_of_destinations_and_the_other_way_round() -> None:
    found = rules.from_argument({"task:shop.*": "ignore", "shop.*": 0.5})
    assert rules.first(found, "celery", "shop.heartbeat") is found[0]
    assert rules.first(found, None, "shop.heartbeat") is found[0]  # a task that its caller runs
    assert rules.first(found, "shop.orders") is found[1]
    assert rules.first(found, "shop.orders", "mail.send") is found[1]
    assert rules.first(found, "celery", "mail.send") is None
