"""What was sent and not processed: each state by its evidence, and no message that somebody handled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mqtrace.flow import STATES, MissingRow, Scope
from mqtrace.flow.engine_source import EngineSource
from mqtrace.otlp.records import LinkRecord, SpanRecord

from .shop import Shop
from .spans import MS, NOW, OLD, S, batch, send, take

MakeSource = Callable[[Iterable[SpanRecord]], EngineSource]
WHOLE = Scope(to_ns=NOW)


def pairs(number: int, at: int = OLD, begin: int = 0, **facts: Any) -> list[tuple[SpanRecord, SpanRecord]]:
    """Messages a second apart, each handled by group g of service back."""
    sends = [send(at=at + n * S, pos=begin + n, **facts) for n in range(number)]
    return [(sent, take(sent)) for sent in sends]


def flat(*groups: Iterable[Any]) -> list[SpanRecord]:
    """All spans of pairs and of spans."""
    out: list[SpanRecord] = []
    for group in groups:
        for one in group:
            out.extend(one if isinstance(one, tuple) else (one,))
    return out


def told(rows: Iterable[MissingRow]) -> list[tuple[str, str | None, str | None, int]]:
    return [(row["sent_to"], row["subscription"], row["state"], row["messages"]) for row in rows]


def test_what_everybody_handled_is_not_missing(source_of: MakeSource) -> None:
    assert source_of(flat(pairs(20))).missing(WHOLE) == []


def test_a_message_below_a_later_offset_was_passed_over(source_of: MakeSource) -> None:
    lost = send(at=OLD + 5 * S + MS, pos=100)
    rows = source_of(flat(pairs(20), [lost], pairs(20, OLD + 60 * S, begin=101))).missing(WHOLE)
    assert told(rows) == [("orders", "g", "passed over", 1)]
    assert rows[0]["example"] == lost.trace_id
    assert rows[0]["oldest"] == "2027-01-15T07:00:05.001000Z"
    assert rows[0]["share"] is None


def test_what_nothing_later_was_handled_of_is_waiting(source_of: MakeSource) -> None:
    waiting = [send(at=OLD + 100 * S + n * S, pos=50 + n) for n in range(7)]
    assert told(source_of(flat(pairs(20), waiting)).missing(WHOLE)) == [("orders", "g", "waiting", 7)]


def test_a_partition_of_which_nothing_was_handled_is_not_read(source_of: MakeSource) -> None:
    other = [send(at=OLD + n * S, pos=n, part="1") for n in range(1, 3)]
    assert told(source_of(flat(pairs(20), other)).missing(WHOLE)) == [("orders", "g", "partition not read", 2)]


def queued(number: int, at: int = OLD) -> list[tuple[SpanRecord, SpanRecord]]:
    """On a queue of RabbitMQ, which has no offsets."""
    sends = [send("shop:order", at + n * S, system="rabbitmq") for n in range(number)]
    return [(sent, take(sent, to="shop:order:mails", service="mailer")) for sent in sends]


def test_without_offsets_it_was_probably_passed_over_when_something_was_handled_long_after(
    source_of: MakeSource,
) -> None:
    lost = send("shop:order", OLD + 5 * S, system="rabbitmq")
    rows = source_of(flat(queued(20), [lost], queued(5, OLD + 300 * S))).missing(WHOLE)
    assert told(rows) == [("shop:order", "mails", "probably passed over", 1)]


def test_without_offsets_it_waits_while_nothing_was_handled_long_after(source_of: MakeSource) -> None:
    last = send("shop:order", OLD + 30 * S, system="rabbitmq")
    assert told(source_of(flat(queued(20), [last])).missing(WHOLE)) == [("shop:order", "mails", "waiting", 1)]


def test_a_message_that_only_a_dead_letter_handler_has_seen_is_a_dead_letter(source_of: MakeSource) -> None:
    dead = [send("shop:order", OLD + n * S, system="rabbitmq") for n in range(2)]
    seen = [
        take(one, to="dead:order:mails.dead", service="morgue", dead=1, dead_queue="mails", dead_reason="rejected")
        for one in dead
    ]
    rows = source_of(flat(queued(40), dead, seen, queued(5, OLD + 300 * S))).missing(WHOLE)
    assert told(rows) == [("shop:order", "mails", "dead letter", 2)]


def test_many_dead_letters_make_no_reader_of_their_handler(source_of: MakeSource) -> None:
    dead = [send("shop:order", OLD + n * S, system="rabbitmq") for n in range(15)]
    seen = [take(one, to="mails.dead", service="morgue", dead=1, dead_queue="mails") for one in dead]
    rows = source_of(flat(queued(200), dead, seen, queued(5, OLD + 300 * S))).missing(WHOLE)
    assert told(rows) == [("shop:order", "mails", "dead letter", 15)]


def test_what_waited_in_a_delay_queue_is_not_buried(source_of: MakeSource) -> None:
    sends = [send("mails.delay", OLD + n * S, system="rabbitmq") for n in range(20)]
    taken = [
        take(one, to="mails", service="mailer", dead=1, dead_queue="mails.delay", dead_reason="expired")
        for one in sends
    ]
    lost = send("mails.delay", OLD + 3 * S, system="rabbitmq")
    later = [send("mails.delay", OLD + 400 * S + n * S, system="rabbitmq") for n in range(3)]
    after = [take(one, to="mails", service="mailer", dead=1, dead_queue="mails.delay") for one in later]
    rows = source_of([*sends, *taken, lost, *later, *after]).missing(WHOLE)
    assert told(rows) == [("mails.delay", "mails", "probably passed over", 1)]


def test_an_attempt_that_failed_has_handled_its_message(source_of: MakeSource) -> None:
    failed = send(at=OLD + 5 * S, pos=100)
    spans = flat(pairs(20), [failed, take(failed, failed=True)], pairs(9, OLD + 60 * S, begin=101))
    assert source_of(spans).missing(WHOLE) == []


def test_a_send_that_failed_is_owed_by_nobody(source_of: MakeSource) -> None:
    failed = send(at=OLD + 5 * S, failed=True, error="_MSG_TIMED_OUT")
    assert source_of(flat(pairs(20), [failed])).missing(WHOLE) == []


def test_what_is_younger_than_a_minute_is_not_judged_and_after_says_otherwise(source_of: MakeSource) -> None:
    source = source_of(flat(pairs(20, NOW - 200 * S), [send(at=NOW - 30 * S, pos=100)]))
    assert source.missing(WHOLE) == []
    assert told(source.missing(WHOLE, after_s=20)) == [("orders", "g", "waiting", 1)]


def test_where_messages_wait_long_the_horizon_is_ten_times_that(source_of: MakeSource) -> None:
    slow = [(sent, take(sent, latency=20_000.0)) for sent, _ in pairs(20, NOW - 600 * S)]
    source = source_of(flat(slow, [send(at=NOW - 100 * S, pos=100)]))
    assert source.missing(WHOLE) == []
    later = Scope(to_ns=NOW + 200 * S)
    assert told(source.missing(later)) == [("orders", "g", "waiting", 1)]


def test_a_delayed_message_is_not_due_before_its_delay(source_of: MakeSource) -> None:
    late = send("tasks", NOW - 300 * S, system="redis", delay=1000.0)
    done = [send("tasks", NOW - 500 * S + n * S, system="redis") for n in range(20)]
    source = source_of([*done, *(take(one, service="worker") for one in done), late])
    assert source.missing(WHOLE) == []
    assert told(source.missing(Scope(to_ns=NOW + 800 * S))) == [("tasks", "tasks", "waiting", 1)]


def test_a_destination_that_nobody_was_seen_to_read_is_not_judged(source_of: MakeSource) -> None:
    nine = pairs(9)
    assert source_of(flat(nine, [send(at=OLD + n * S, pos=50 + n) for n in range(30)])).missing(WHOLE) == []


def test_each_group_owes_a_delivery(source_of: MakeSource) -> None:
    both = pairs(20)
    second = [take(sent, group="audit", service="audit") for sent, _ in both[:5] + both[6:]]
    assert told(source_of(flat(both, second)).missing(WHOLE)) == [("orders", "audit", "passed over", 1)]


def test_a_group_owes_nothing_that_was_sent_before_it_was_there(source_of: MakeSource) -> None:
    before = [send(at=OLD - 600 * S + n * S, pos=n) for n in range(50)]
    assert source_of(flat(before, pairs(20, begin=50))).missing(WHOLE) == []


def test_services_that_compete_for_a_queue_are_one_subscription(source_of: MakeSource) -> None:
    sends = [send("q", OLD + n * S, system="rabbitmq") for n in range(30)]
    taken = [take(one, service=f"worker-{n % 2}") for n, one in enumerate(sends)]
    assert source_of([*sends, *taken]).missing(WHOLE) == []


def test_a_reader_of_a_part_is_a_share_and_no_list(source_of: MakeSource) -> None:
    sends = [send(at=OLD + n * S, pos=n) for n in range(100)]
    rows = source_of([*sends, *(take(one) for one in sends[::4])]).missing(WHOLE)
    assert told(rows) == [("orders", "g", None, 75)]
    assert rows[0]["share"] == pytest.approx(0.25, abs=0.02)


def test_a_group_that_stopped_is_not_a_reader_of_a_part(source_of: MakeSource) -> None:
    sends = [send(at=OLD + n * S, pos=n) for n in range(100)]
    rows = source_of([*sends, *(take(one) for one in sends[:20])]).missing(WHOLE)
    assert told(rows) == [("orders", "g", "waiting", 80)]


def test_batches_handle_every_message_that_they_link_to(source_of: MakeSource) -> None:
    sends = [send(at=OLD + n * S, pos=n) for n in range(40)]
    lost = sends[13]
    rows = source_of([*sends, batch(sends[:10]), batch([*sends[10:13], *sends[14:]])]).missing(WHOLE)
    assert told(rows) == [("orders", "g", "passed over", 1)]
    assert rows[0]["example"] == lost.trace_id


def test_offsets_that_begin_again_are_another_life_of_the_partition(source_of: MakeSource) -> None:
    old = pairs(50, begin=1000)
    new = pairs(20, OLD + 900 * S, begin=0)
    waiting = send(at=OLD + 1000 * S, pos=20)
    assert told(source_of(flat(old, new, [waiting])).missing(WHOLE)) == [("orders", "g", "waiting", 1)]
    passed = send(at=OLD + 905 * S, pos=500)
    rows = source_of(flat(old, new, [passed], pairs(3, OLD + 1100 * S, begin=501))).missing(WHOLE)
    assert told(rows) == [("orders", "g", "passed over", 1)]


def test_two_clusters_may_have_one_topic_name(source_of: MakeSource) -> None:
    here = pairs(20, server="a")
    there = [send(at=OLD + n * S, pos=n, server="b") for n in range(20)]
    assert source_of(flat(here, there)).missing(WHOLE) == []


def test_a_context_that_was_forwarded_is_two_messages(source_of: MakeSource) -> None:
    both = pairs(20)
    forwarded = [
        send("archive", sent.start + 2 * S, n, kind="client", links=(sent,), trace="f" * 31 + "1")
        for n, (sent, _) in enumerate(both)
    ]
    archived = [
        take(forward, parent=sent, links=(sent,), group="archive", to="archive", pos=n)
        for n, ((sent, _), forward) in enumerate(zip(both, forwarded, strict=True))
        if n != 7
    ]
    rows = source_of(flat(both, forwarded, archived)).missing(WHOLE)
    assert told(rows) == [("archive", "archive", "passed over", 1)]


def test_a_retry_that_never_ran_is_missing_though_its_first_attempt_ran(source_of: MakeSource) -> None:
    done = [send("tasks", OLD + n * S, system="redis") for n in range(20)]
    taken = [take(one, service="worker") for one in done]
    again = send(
        "tasks", done[3].start + 2 * S, system="redis", kind="client", links=(done[3],), retry=1, parent=taken[3]
    )
    later = [send("tasks", OLD + 600 * S + n * S, system="redis") for n in range(3)]
    spans = [*done, *taken, again, *later, *(take(one, service="worker") for one in later)]
    assert told(source_of(spans).missing(WHOLE)) == [("tasks", "tasks", "probably passed over", 1)]
    ran = take(done[3], again.start + S, service="worker", retry=1)
    assert source_of([*spans, ran]).missing(WHOLE) == []


def test_only_what_the_receiver_s_sampler_keeps_is_judged(source_of: MakeSource) -> None:
    def trace(number: int, low: str) -> str:
        return f"{number:016x}00{low}{number:010x}"

    kept = [send(at=OLD + n * S, pos=n, trace=trace(n + 1, "ffff")) for n in range(20)]
    left_out = [send(at=OLD + n * S, pos=100 + n, trace=trace(n + 1, "0000")) for n in range(10)]
    taken = [take(one, state="ot=th:8") for one in kept]
    assert source_of([*kept, *left_out, *taken]).missing(WHOLE) == []
    lost = send(at=OLD + 5 * S, pos=5, part="0", trace=trace(99, "ffff"))
    rows = source_of([*kept, lost, *left_out, *taken]).missing(WHOLE)
    assert told(rows) == [("orders", "g", "passed over", 1)]


def test_deliveries_that_other_libraries_write_count(source_of: MakeSource) -> None:
    """OpenTelemetry's confluent-kafka: no group, the parent is its receive span, the message is linked."""
    sends = [send(at=OLD + n * S, pos=n) for n in range(20)]
    received = [take(one, op="receive", group=None, links=(), parent=None) for one in sends]
    processed = [take(one, group=None, parent=wait, links=(one,)) for one, wait in zip(sends, received, strict=True)]
    assert source_of([*sends, *received, *processed]).missing(WHOLE) == []


def test_clocks_that_disagree_hide_nothing_and_accuse_nobody(source_of: MakeSource) -> None:
    early = [(sent, take(sent, at=sent.start - 120 * S)) for sent, _ in pairs(20)]
    assert source_of(flat(early)).missing(WHOLE) == []


def test_the_filters_hold_for_sender_receiver_and_destination(source_of: MakeSource) -> None:
    lost = send(at=OLD + 5 * S + MS, pos=100)
    source = source_of(flat(pairs(20), [lost], pairs(20, OLD + 60 * S, begin=101)))
    for scope in (Scope(to_ns=NOW, services=("fr*",)), Scope(to_ns=NOW, services=("back",))):
        assert len(source.missing(scope)) == 1
    assert source.missing(Scope(to_ns=NOW, services=("other",))) == []
    assert source.missing(Scope(to_ns=NOW, destinations=("payments",))) == []


@pytest.mark.parametrize("count", [30_000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_every_injected_loss_is_found_and_no_other(source_of: MakeSource, count: int) -> None:
    shop = Shop(NOW, lose=250 if count < 100_000 else 500)
    rows = source_of(shop.spans(count)).missing(WHOLE)
    found = {(row["sent_to"], row["subscription"], row["state"]): row["messages"] for row in rows}
    assert found == dict(shop.expected)
    assert {state for _, _, state in found} == set(STATES)
    for row in rows:
        assert row["example"] in shop.examples[row["sent_to"], row["subscription"] or "", row["state"] or ""]


def test_a_second_copy_of_every_span_changes_nothing(source_of: MakeSource) -> None:
    shop = Shop(NOW, lose=100)
    spans = list(shop.spans(5_000))
    once, twice = source_of(spans), source_of([*spans, *spans])
    assert once.missing(WHOLE) == twice.missing(WHOLE)
    assert once.map(WHOLE) == twice.map(WHOLE)
    assert once.flow(WHOLE) == twice.flow(WHOLE)


def test_link_records_of_a_batch_carry_their_offsets() -> None:
    (link,) = batch([send(pos=5)]).links
    assert link == LinkRecord(
        link.trace_id, link.span_id, {"messaging.destination.partition.id": "0", "messaging.kafka.offset": 5}
    )
