"""What was predicted for a point beside what was measured there. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.cost_model import predict
from benchmarks.workload import Deployment, Electric, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.cost_model import Costs

_POINT: Final = Workload(
    orgs=4,
    users=50,
    online=1,
    shapes=1,
    changes_per_minute=60,
    initial_bytes=50_000,
    reloads_per_hour=60,
    return_seconds=0.01,
)
_SHAPES: Final = replace(
    _POINT, orgs=10, users=20, shapes=3, changes_per_minute=12, reloads_per_hour=30, initial_bytes=20_000
)
FRESH_SECONDS: Final = 5
LONG_POLL_SECONDS: Final = 5
"""For both Electric has more; within a short run they become steady."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What is measured to compare with: none of the points that the costs were found at."""

    workload: Workload
    shared: bool = True
    """Whether requests are collapsed and answers kept."""
    workers: int = 1
    cursors_apart: bool = False
    """Whether cursors move as those of Electric do; they need long to be steady."""


POINTS: Final[Mapping[str, Point]] = {
    "four organizations": Point(workload=_POINT),
    "nothing shared": Point(workload=_POINT, shared=False),
    "three shapes each": Point(workload=_SHAPES),
    "two processes": Point(workload=_SHAPES, workers=2),
    "cursors apart": Point(workload=replace(_POINT, reloads_per_hour=720), cursors_apart=True),
}
CLOSE: Final = 0.3
"""A deviation up to it is what the machine's noise makes of the same run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run showed, in the units of a prediction."""

    seconds: float
    changes_per_second: float
    """Of all logs: chance decided it, as it did the next one."""
    reloads_per_second: float
    age_seconds: float
    """Of the gate at the end of the run."""
    requests: float
    live_requests: float
    """Of them, live polls."""
    upstream_requests: float
    held: float
    electric_held: float
    cores: float
    memory_bytes: float
    base_bytes: float
    """Private memory before the first user came."""
    answered: int
    """Since the gate's start."""
    body_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure, both ways."""

    name: str
    predicted: float
    measured: float

    @property
    def deviation(self) -> float:
        """By how much the prediction is too high, as a share of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    @property
    def close(self) -> bool:
        """Whether it is as near as can be asked for."""
        return abs(self.deviation) <= CLOSE


def compare(point: Point, measured: Measured, costs: Costs) -> tuple[Compared, ...]:
    """Predict the point that was measured; how often something changed there is taken from the run."""
    asked = point.workload
    workload = replace(
        asked,
        changes_per_minute=60 * measured.changes_per_second / asked.orgs,
        reloads_per_hour=3_600 * measured.reloads_per_second / (asked.orgs * asked.users * asked.shapes),
    )
    deployment = Deployment(
        workers=point.workers,
        collapse=point.shared,
        cache_bytes=Deployment().cache_bytes if point.shared else 0,
        age_seconds=measured.age_seconds,
    )
    electric = Electric(
        fresh_seconds=FRESH_SECONDS, long_poll_seconds=LONG_POLL_SECONDS, cursors_apart=point.cursors_apart
    )
    made = predict(workload, deployment, costs, electric)
    return (
        Compared(name="requests/s at the gate", predicted=made.requests, measured=measured.requests),
        Compared(
            name="requests/s at Electric",
            predicted=made.electric_requests,
            measured=measured.upstream_requests,
        ),
        Compared(name="live polls held", predicted=made.held, measured=measured.held),
        Compared(
            name="live polls held at Electric", predicted=made.electric_held, measured=measured.electric_held
        ),
        Compared(name="CPU, cores", predicted=made.cores, measured=measured.cores),
        Compared(name="memory, MB", predicted=made.memory_bytes / 1e6, measured=measured.memory_bytes / 1e6),
        Compared(name="bodies, KB/s", predicted=made.body_bytes / 1e3, measured=measured.body_bytes / 1e3),
    )


def number(value: float) -> str:
    """Print three digits that count."""
    return f"{float(f'{value:.3g}'):,.10g}"


def print_compared(title: str, compared: Sequence[Compared]) -> str:
    """Print a table, one line each."""
    lines = [f"{title:<34}{'predicted':>12}{'measured':>12}{'deviation':>12}"]
    for each in compared:
        mark = "" if each.close else "  !"
        said = f"{number(each.predicted):>12}{number(each.measured):>12}{each.deviation:>+12.0%}{mark}"
        lines.append(f"  {each.name:<32}{said}")
    return "\n".join(lines)
