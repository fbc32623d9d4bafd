"""The books: what a process says of its spans, what is on the topic, and whether the two agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["OnTopic", "balance", "faults_of_ended", "faults_of_names", "faults_of_stats"]

Stats = Mapping[str, Any]


class OnTopic(NamedTuple):
    """Of one process: different spans, and how many came more than once (a broker that forgot to confirm)."""

    spans: int
    again: int = 0


def balance(stats: Stats) -> int:
    """0 where ended = exported + queued + in flight + dropped."""
    settled = stats["spans_exported"] + stats["spans_queued"] + stats["spans_in_flight"]
    return int(stats["spans_ended"] - settled - sum(stats["spans_dropped"].values()))


def faults_of_stats(who: str, made: int, stats: Stats, found: OnTopic) -> list[str]:
    """Of a process that has said its last counts, after a shutdown. ``made``: spans by the process's own counting."""
    faults = []
    if stats["spans_ended"] != made:
        faults.append(f"{who}: made {made} spans, {stats['spans_ended']} are counted as ended")
    if balance(stats):
        faults.append(f"{who}: {balance(stats)} of {stats['spans_ended']} spans are unaccounted for")
    for left in ("spans_queued", "spans_in_flight"):
        if stats[left]:
            faults.append(f"{who}: {left} is {stats[left]} after the shutdown")
    if found.spans < stats["spans_exported"]:
        faults.append(f"{who}: {stats['spans_exported']} spans are called exported, {found.spans} are on the topic")
    # What was given up may have arrived after all: its report was lost, not the message.
    given_up = stats["spans_dropped"]["export_failed"] + stats["spans_dropped"]["shutdown"]
    if found.spans > stats["spans_exported"] + given_up:
        faults.append(
            f"{who}: {found.spans} spans are on the topic, more than the {stats['spans_exported']} exported and the "
            f"{given_up} given up"
        )
    return faults


def faults_of_names(arrived: int, met: int) -> list[str]:
    """Of messages with a header's name that is not UTF-8: the handler has to meet the client's error at each.

    More often than that, where the report of one that arrived was lost.
    """
    if not arrived:
        return ["load: no message with a header's name that is not UTF-8 arrived"]
    if met < arrived:
        return [f"load: {arrived} messages had a header's name that is not UTF-8, the handler met {met}"]
    return []


def faults_of_ended(who: str, least: int, most: int, found: OnTopic, *, broker_well: bool) -> list[str]:
    """Of a process that ended without a word: between ``least`` and ``most`` spans had ended.

    Where the broker was well from its beginning to its end all of them are on the topic; otherwise what it dropped is
    known to nobody, and only too many are a fault.
    """
    if found.spans > most:
        return [f"{who}: {found.spans} spans are on the topic, at most {most} had ended"]
    if broker_well and found.spans < least:
        return [f"{who}: {least} spans had ended, {found.spans} are on the topic"]
    return []
