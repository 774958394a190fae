"""What one process counted, as values that add up and travel between processes. Pure: no I/O, no clock.

Labels are closed sets (kinds, decisions, statuses, codes, and tables that the policy names), so a tally has a
bounded number of entries. An entry is made when its first request is counted.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shapegate_proxy.observe import ShapeServed

FIRST_BYTE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
TOTAL_SECONDS: Final = (0.0025, 0.01, 0.05, 0.25, 1, 5, 21, 60, 300, 1800)
"""A long poll lasts 20 s when nothing happens, a stream up to the end of its token."""
NONE: Final = "none"
CPU_SPENT: Final = "process_cpu_seconds_total"
STARTED: Final = "process_start_time_seconds"

RequestKey = tuple[str, str, int, str]
"""Kind, decision, status, code."""
_K = TypeVar("_K")
_V = TypeVar("_V")


class Count(msgspec.Struct):
    """How many requests there were."""

    created: float
    """When the first was counted, in seconds since 1970."""
    requests: int = 0

    def plus(self, other: Count) -> Count:
        """Return the sum."""
        return Count(min(self.created, other.created), self.requests + other.requests)


class TableCount(msgspec.Struct):
    """How many requests asked for one table, and the bytes of their bodies."""

    created: float
    requests: int = 0
    body_bytes: int = 0

    def plus(self, other: TableCount) -> TableCount:
        """Return the sum."""
        created = min(self.created, other.created)
        return TableCount(created, self.requests + other.requests, self.body_bytes + other.body_bytes)


class Durations(msgspec.Struct):
    """How long requests took, by bucket."""

    created: float
    buckets: list[int]
    """How many fell into each bucket, smaller ones not included; the last has no bound."""
    seconds: float = 0.0

    def plus(self, other: Durations) -> Durations:
        """Return the sum; both have the same bounds."""
        buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        return Durations(min(self.created, other.created), buckets, self.seconds + other.seconds)

    def cumulated(self) -> tuple[int, ...]:
        """Return for each bucket how many took that long at most."""
        return tuple(accumulate(self.buckets))


class Tallies(msgspec.Struct):
    """What was counted of shape requests."""

    requests: dict[RequestKey, Count] = {}
    tables: dict[str, TableCount] = {}
    first_byte: dict[str, Durations] = {}
    """By kind, with the bounds `FIRST_BYTE_SECONDS`."""
    total: dict[str, Durations] = {}
    """By kind, with the bounds `TOTAL_SECONDS`."""

    def count(self, event: ShapeServed, *, now: float) -> None:
        """Count one request; `now` is in seconds since 1970."""
        # `_value_` is what `value` returns, without a call; an enum's own hash is a call too.
        kind = NONE if event.kind is None else event.kind._value_
        try:
            count = self.requests[kind, event.decision._value_, event.status, event.code]
            table = self.tables[event.table or NONE]
            total = self.total[kind]
        except KeyError:
            self._add_entries(event, kind, now)
            self.count(event, now=now)
            return
        seconds, first_seconds = event.seconds, event.first_byte_seconds
        count.requests += 1
        table.requests += 1
        table.body_bytes += event.body_bytes
        total.buckets[bisect_left(TOTAL_SECONDS, seconds)] += 1
        total.seconds += seconds
        if first_seconds is not None:
            first = self.first_byte[kind]
            first.buckets[bisect_left(FIRST_BYTE_SECONDS, first_seconds)] += 1
            first.seconds += first_seconds

    def _add_entries(self, event: ShapeServed, kind: str, now: float) -> None:
        """Make the entries that this is the first event of."""
        key = (kind, event.decision._value_, event.status, event.code)
        self.requests.setdefault(key, Count(now))
        self.tables.setdefault(event.table or NONE, TableCount(now))
        self.total.setdefault(kind, Durations(now, [0] * (len(TOTAL_SECONDS) + 1)))
        self.first_byte.setdefault(kind, Durations(now, [0] * (len(FIRST_BYTE_SECONDS) + 1)))

    def plus(self, other: Tallies) -> Tallies:
        """Return the sum, which shares entries with both: it is there to be read."""
        return Tallies(
            requests=_added(self.requests, other.requests, Count.plus),
            tables=_added(self.tables, other.tables, TableCount.plus),
            first_byte=_added(self.first_byte, other.first_byte, Durations.plus),
            total=_added(self.total, other.total, Durations.plus),
        )


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one process at one moment, or their sum over several."""

    tallies: Tallies = msgspec.field(default_factory=Tallies)
    failures: dict[str, int] = {}
    """How often each kind of look-up failed."""
    under_way: int = 0
    live: int = 0
    process: dict[str, float] = {}
    """What the system tells of the process, by the name of the figure; empty where it tells nothing."""

    def plus(self, other: Reading) -> Reading:
        """Return the sum, which shares entries with both: it is there to be read."""
        process = _added(self.process, other.process, operator.add)
        if STARTED in self.process and STARTED in other.process:
            process[STARTED] = min(self.process[STARTED], other.process[STARTED])
        return Reading(
            tallies=self.tallies.plus(other.tallies),
            failures=_added(self.failures, other.failures, operator.add),
            under_way=self.under_way + other.under_way,
            live=self.live + other.live,
            process=process,
        )

    def counted(self) -> Reading:
        """Return what outlasts the process: figures that only grow."""
        spent = {name: value for name, value in self.process.items() if name == CPU_SPENT}
        return Reading(tallies=self.tallies, failures=self.failures, process=spent)


def _added(mine: Mapping[_K, _V], theirs: Mapping[_K, _V], plus: Callable[[_V, _V], _V]) -> dict[_K, _V]:
    added = dict(mine)
    for key, value in theirs.items():
        added[key] = plus(added[key], value) if key in added else value
    return added
