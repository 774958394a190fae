"""The costs of live polls and of beginners, by points at which each weighs most."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.gate import Variant
from benchmarks.measured_point import measure
from benchmarks.turns import rotated
from benchmarks.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.comparison import Measured

ROUNDS: Final = 3
_SECONDS: Final = 5.0
_LONG_POLL_SECONDS: Final = 20.0
_NEVER: Final = 0.001
"""Reloads in an hour: as good as none."""
_SHARED: Final = Variant()
_ALONE: Final = Variant(collapse=False, cache=False)
_DENSE: Final = Workload(
    orgs=1,
    users=100,
    online=1,
    shapes=1,
    changes_per_minute=120,
    reloads_per_hour=_NEVER,
    initial_bytes=10_000,
)
_SPARSE: Final = replace(_DENSE, orgs=40, users=3, changes_per_minute=90)
_BEGINNERS: Final = replace(_DENSE, orgs=4, users=20, changes_per_minute=1, reloads_per_hour=1_200)
POINTS: Final[Mapping[str, tuple[Workload, Variant]]] = {
    "many followers of one shape": (_DENSE, _SHARED),
    "few followers of many shapes": (_SPARSE, _SHARED),
    "many followers, each asked alone": (_DENSE, _ALONE),
    "beginners": (_BEGINNERS, _SHARED),
}

ADMISSION_BYTES: Final = 5_000.0
"""One remembered request; found with tracemalloc over 2,000 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCosts:
    """What of `cost_model.Costs` is found here."""

    shared_live_us: float
    alone_live_us: float
    burst_us: float
    begin_us: float
    process_bytes: float
    admission_bytes: float


async def calibrate(folder: Path, *, upstream_us: float, on_progress: Callable[[str], None]) -> LiveCosts:
    """Measure every point in turns, and take the medians of what each round says.

    What an exchange and a held poll cost is known before. Raises NotReady, NoProc or WrongAnswer.
    """
    found: list[LiveCosts] = []
    for number in range(ROUNDS):
        measured: dict[str, Measured] = {}
        for name in rotated(tuple(POINTS), number):
            on_progress(f"round {number + 1} of {ROUNDS}: {name}")
            workload, variant = POINTS[name]
            measured[name] = await measure(
                folder, workload, variant=variant, long_poll_seconds=_LONG_POLL_SECONDS, seconds=_SECONDS
            )
        points = [measured[name] for name in POINTS]
        found.append(solve(points, upstream_us=upstream_us))
    return medians(found)


def solve(points: Sequence[Measured], *, upstream_us: float) -> LiveCosts:
    """Find the costs that explain the four points, in their order."""
    dense, sparse, alone, beginners = points
    # Two equations: live * shared + exchanges * burst = busy.
    bursts = (dense.upstream_requests / dense.live_requests, sparse.upstream_requests / sparse.live_requests)
    each = (1e6 * dense.cores / dense.live_requests, 1e6 * sparse.cores / sparse.live_requests)
    burst = max(0.0, (each[1] - each[0]) / (bursts[1] - bursts[0]))
    shared = each[0] - burst * bursts[0]
    of_beginners = (
        1e6 * beginners.cores - (beginners.live_requests * shared) - beginners.upstream_requests * upstream_us
    )
    return LiveCosts(
        shared_live_us=shared,
        alone_live_us=1e6 * alone.cores / alone.live_requests - burst * bursts[0],
        burst_us=burst,
        begin_us=of_beginners / beginners.reloads_per_second,
        process_bytes=statistics.median(point.base_bytes for point in points),
        admission_bytes=ADMISSION_BYTES,
    )


def medians(found: Sequence[LiveCosts]) -> LiveCosts:
    """Take the middle of each cost."""
    rounds = [asdict(each) for each in found]
    return LiveCosts(**{name: statistics.median(each[name] for each in rounds) for name in rounds[0]})
