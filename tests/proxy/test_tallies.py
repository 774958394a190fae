"""Tallies: what is counted where, and that they add up in whichever process it happened."""

from __future__ import annotations

import timeit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from shapegate_proxy.metrics import families
from shapegate_proxy.observe import Decision, Kind, ShapeServed
from shapegate_proxy.tallies import (
    CPU_SPENT,
    FIRST_BYTE_SECONDS,
    STARTED,
    TOTAL_SECONDS,
    Count,
    Reading,
    TableCount,
    Tallies,
)

COUNTED_SECONDS_MAX = 20e-6
"""For one request, on a machine that does much else meanwhile; it takes some 1.5 us."""


def event(
    *,
    kind: Kind | None = Kind.LIVE,
    decision: Decision = Decision.SERVED,
    status: int = 200,
    code: str = "served",
    table: str | None = "items",
    body_bytes: int = 512,
    first_byte_seconds: float | None = 0.25,
    seconds: float = 0.5,
) -> ShapeServed:
    return ShapeServed(
        request_id="1",
        method="GET",
        decision=decision,
        status=status,
        code=code,
        org=None,
        user=None,
        table=table,
        kind=kind,
        offset=None,
        handle=None,
        live=False,
        body_bytes=body_bytes,
        first_byte_seconds=first_byte_seconds,
        seconds=seconds,
    )


def moment(counted: tuple[ShapeServed, float]) -> float:
    return counted[1]


# Sums of eighths are exact, so that the order in which they are added does not matter.
eighths = st.integers(0, 200_000).map(lambda count: count / 8)
events = st.builds(
    event,
    kind=st.none() | st.sampled_from(Kind),
    decision=st.sampled_from(Decision),
    status=st.sampled_from([200, 204, 409, 499]),
    code=st.sampled_from(["served", "gone", "too_many_live"]),
    table=st.none() | st.sampled_from(["items", "notes"]),
    body_bytes=st.integers(0, 10**9),
    first_byte_seconds=st.none() | eighths,
    seconds=eighths,
)
moments = st.lists(st.tuples(events, eighths), max_size=10).map(lambda part: sorted(part, key=moment))


def tallied(counted: list[tuple[ShapeServed, float]]) -> Tallies:
    tallies = Tallies()
    for each, now in counted:
        tallies.count(each, now=now)
    return tallies


def test_a_request_is_counted_once_everywhere() -> None:
    tallies = tallied([(event(), 7.0), (event(table=None, kind=None), 8.0), (event(body_bytes=8), 9.0)])
    assert tallies.requests == {
        ("live", "served", 200, "served"): Count(7.0, 2),
        ("none", "served", 200, "served"): Count(8.0, 1),
    }
    assert tallies.tables == {"items": TableCount(7.0, 2, 520), "none": TableCount(8.0, 1, 512)}
    assert {kind: sum(durations.buckets) for kind, durations in tallies.total.items()} == {
        "live": 2,
        "none": 1,
    }


def test_a_request_without_an_answer_has_no_first_byte() -> None:
    tallies = tallied([(event(first_byte_seconds=None), 0.0)])
    assert sum(tallies.first_byte["live"].buckets) == 0
    assert sum(tallies.total["live"].buckets) == 1
    (shown,) = [
        family
        for family in families(Reading(tallies=tallies))
        if family.name == "shapegate_first_byte_seconds"
    ]
    assert shown.samples == []


@given(st.lists(moments, max_size=3))
def test_parts_counted_apart_add_up_to_the_whole(parts: list[list[tuple[ShapeServed, float]]]) -> None:
    total = Tallies()
    for part in parts:
        total = total.plus(tallied(part))
    assert total == tallied(sorted((each for part in parts for each in part), key=moment))


@given(moments, moments)
def test_a_sum_does_not_depend_on_the_order_and_changes_nothing(
    one: list[tuple[ShapeServed, float]], other: list[tuple[ShapeServed, float]]
) -> None:
    first, second = tallied(one), tallied(other)
    assert first.plus(second) == second.plus(first)
    assert (first, second) == (tallied(one), tallied(other))


@given(moments)
def test_a_reading_comes_through_to_another_process(counted: list[tuple[ShapeServed, float]]) -> None:
    reading = Reading(tallies=tallied(counted), failures={"keys": 1}, live=2, process={CPU_SPENT: 1.5})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(reading), type=Reading) == reading


@given(st.lists(st.floats(0, 4000) | st.sampled_from(FIRST_BYTE_SECONDS + TOTAL_SECONDS), max_size=20))
def test_buckets_are_those_of_the_library(taken: list[float]) -> None:
    registry = CollectorRegistry()
    theirs = Histogram(
        "shapegate_request_seconds", "-", ["kind"], buckets=TOTAL_SECONDS, registry=registry
    ).labels("live")
    tallies = Tallies()
    for seconds in taken:
        theirs.observe(seconds)
        tallies.count(event(seconds=seconds), now=0.0)
    (mine,) = [
        family for family in families(Reading(tallies=tallies)) if family.name == "shapegate_request_seconds"
    ]
    (expected,) = registry.collect()
    shown = [(each.name, each.labels, each.value) for each in mine.samples if "_created" not in each.name]
    if taken:
        assert shown == [
            (each.name, each.labels, each.value) for each in expected.samples if "_created" not in each.name
        ]


def test_what_outlasts_a_process_is_what_only_grows() -> None:
    reading = Reading(
        tallies=tallied([(event(), 1.0)]),
        failures={"keys": 3},
        under_way=4,
        live=5,
        process={CPU_SPENT: 6.0, STARTED: 7.0, "process_open_fds": 8.0},
    )
    left = Reading(tallies=reading.tallies, failures={"keys": 3}, process={CPU_SPENT: 6.0})
    assert reading.counted() == left
    assert reading.counted().counted() == left


def test_processes_add_up_and_began_with_the_first() -> None:
    one = Reading(under_way=2, live=1, process={CPU_SPENT: 1.0, STARTED: 10.0, "process_open_fds": 5.0})
    other = Reading(under_way=3, failures={"keys": 1}, process={CPU_SPENT: 2.0, STARTED: 9.0})
    assert one.plus(other) == Reading(
        under_way=5,
        live=1,
        failures={"keys": 1},
        process={CPU_SPENT: 3.0, STARTED: 9.0, "process_open_fds": 5.0},
    )


@pytest.mark.parametrize("made", [False, True])
def test_an_event_costs_microseconds(made: bool) -> None:
    tallies, known = Tallies(), event()

    def served() -> None:
        tallies.count(event() if made else known, now=0.0)

    assert min(timeit.repeat(served, number=1_000, repeat=5)) / 1_000 < COUNTED_SECONDS_MAX
