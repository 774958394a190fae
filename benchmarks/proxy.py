"""The figures of the gate (PERFORMANCE, "Proxy"), each beside its peers in one alternating run.

CPU times are of all threads of a process, by request; wall-clock figures are ratios only.
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks import proxy_bodies, proxy_live, proxy_release, proxy_requests, proxy_times
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.figure import Reading, Skipped
from benchmarks.processes import busy_seconds, own_seconds
from benchmarks.running import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from benchmarks.figure import Goal, Result


DISTURBED: Final = "CPU that others took meanwhile, by row"
"""Where that is much, wall-clock figures say little."""
_ROW_SECONDS_MIN: Final = 0.1


class Measure(Protocol):
    """Measures what belongs together. Raises Missing, NotReady, NoProc or WrongAnswer."""

    async def __call__(self, bench: Bench, /) -> Sequence[Result]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """Goals that are measured together."""

    measure: Measure
    goals: tuple[Goal, ...]
    """What is skipped where something to measure with is missing."""


ROWS: Final[Mapping[str, Row]] = {
    "tiny": Row(
        proxy_requests.measure_tiny,
        (proxy_requests.TO_HTTP_PROXY, proxy_requests.TO_FETCH, proxy_requests.TO_NGINX),
    ),
    "distinct": Row(proxy_requests.measure_distinct, ()),
    "kept": Row(proxy_requests.measure_kept, (proxy_requests.KEPT,)),
    "overhead": Row(proxy_requests.measure_overhead, (proxy_requests.OVERHEAD,)),
    "latency": Row(proxy_times.measure_latency, (proxy_times.ADDED, proxy_times.ADDED_KEPT)),
    "stream": Row(proxy_bodies.measure_stream, (proxy_bodies.STREAM,)),
    "memory": Row(proxy_bodies.measure_memory, (proxy_bodies.MEMORY, proxy_bodies.STALLED)),
    "kept-chunk": Row(proxy_bodies.measure_kept, (proxy_bodies.KEPT, proxy_bodies.KEPT_TO_NGINX)),
    "live": Row(proxy_live.measure_live, (proxy_live.ASKED,)),
    "release": Row(proxy_release.measure_release, (proxy_release.LAST,)),
    "held": Row(proxy_live.measure_held, (proxy_live.UNCOLLAPSED, proxy_live.COLLAPSED)),
    "events": Row(proxy_live.measure_events, (proxy_live.EVENTS,)),
    "workers": Row(proxy_requests.measure_workers, (proxy_requests.WORKERS,)),
    "soak": Row(proxy_times.measure_soak, (proxy_times.SOAK,)),
}
"""By the name that `--only` takes, in the order of the table."""


async def measure(
    *, quick: bool, on_progress: Callable[[str], None], only: Collection[str] = ()
) -> tuple[Result, ...]:
    """Measure every row, or those named; the last result says how much others disturbed each.

    Raises NotReady, NoProc or WrongAnswer.
    """
    _raise_open_files()
    results: list[Result] = []
    disturbed: list[float] = []
    with tempfile.TemporaryDirectory(prefix="shapegate-bench-") as name:
        bench = Bench(scale=QUICK if quick else FULL, folder=Path(name), on_progress=on_progress)
        for row in (ROWS[name] for name in ROWS if not only or name in only):
            started, others = time.monotonic(), busy_seconds() - own_seconds()
            try:
                results += await row.measure(bench)
            except Missing as exc:
                results += (Skipped(goal=goal, reason=str(exc)) for goal in row.goals)
            # All that the row started has ended, so that its time is our own.
            others = busy_seconds() - own_seconds() - others
            disturbed.append(max(0.0, 100 * others / max(time.monotonic() - started, _ROW_SECONDS_MIN)))
    return (*results, Reading(name=DISTURBED, unit="% of a core", rounds=tuple(disturbed)))


def _raise_open_files() -> None:
    """Let this process, and what it starts, open as many files as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
