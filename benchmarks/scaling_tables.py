"""The tables of `docs/scaling.md`, computed from the measured figures. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from benchmarks.capacity import carry
from benchmarks.comparison import POINTS, compare, number
from benchmarks.cost_model import predict
from benchmarks.workload import Deployment, Electric, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.cost_figures import CostFigures
    from benchmarks.cost_model import Costs, Prediction

USUAL: Final = Workload()
WORKLOADS: Final[Mapping[str, Workload]] = {
    "usual": USUAL,
    "quiet": replace(USUAL, changes_per_minute=0.5, reloads_per_hour=0.5),
    "busy": replace(USUAL, changes_per_minute=60),
    "large organizations": replace(USUAL, users=1_000, changes_per_minute=30),
    "many shapes each": replace(USUAL, shapes=12),
    "half of the shapes are a user's own": replace(USUAL, own=0.5),
    "large shapes": replace(USUAL, initial_bytes=20_000_000, row_bytes=2_000),
}
MACHINE: Final = Deployment(workers=2)
_SAME: Final = replace(USUAL, orgs=250)
"""What deployments are compared by."""
DEPLOYMENTS: Final[Mapping[str, Deployment]] = {
    "nothing shared": replace(MACHINE, collapse=False, cache_bytes=0),
    "collapsed": replace(MACHINE, cache_bytes=0),
    "collapsed and kept": MACHINE,
    "the same, HTTP cache": replace(MACHINE, http_cache=True),
    "two machines": replace(MACHINE, gates=2),
    "two machines, HTTP cache": replace(MACHINE, gates=2, http_cache=True),
    "eight machines": replace(MACHINE, gates=8),
    "eight machines, HTTP cache": replace(MACHINE, gates=8, http_cache=True),
}
_TOGETHER: Final = "; cursors together"
_WHAT: Final[Mapping[str, str]] = {
    "kept_us": "a request seen before, from memory, us CPU",
    "relayed_us": "a request seen before, asked of Electric, us CPU",
    "distinct_us": "a request never seen before, asked of Electric, us CPU",
    "shared_live_us": "a live poll that shares an exchange, us CPU",
    "alone_live_us": "a live poll asked alone, us CPU",
    "burst_us": "each answer of Electric to live polls, us CPU",
    "begin_us": "to begin anew: connection and three requests, us CPU",
    "passed_on_us_mb": "each MB passed on, us CPU",
    "kept_us_mb": "each MB from memory, us CPU at most",
    "held_alone_bytes": "a live poll held alone, bytes",
    "held_shared_bytes": "a live poll held together, bytes",
    "process_bytes": "a process, bytes",
    "admission_bytes": "a remembered request, bytes",
}
_MARKED: Final = re.compile(r"(<!-- simulated: (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables(figures: CostFigures) -> Mapping[str, str]:
    """Compute every table, by the name that its place in the document has."""
    costs, electric = figures.costs, Electric()
    return {
        "costs": _print(("what", "cost", "measured by", "at", "commit"), _cost_rows(figures)),
        "compared": _print(
            ("a point", "figure", "predicted", "measured", "deviation"),
            [
                (title, each.name, number(each.predicted), number(each.measured), f"{each.deviation:+.0%}")
                for title, point in POINTS.items()
                for each in compare(point, figures.points[title], costs)
            ],
        ),
        "carries": _print(
            (
                *("users", "organizations", "online", "first limit", "requests/s", "to Electric/s"),
                *("held", "cores", "memory"),
            ),
            [_carried(name, workload, costs, electric) for name, workload in WORKLOADS.items()],
        ),
        "deployments": _print(
            ("before Electric", "requests/s", "sent on/s", "at Electric/s", "held there", "cores", "memory"),
            [
                _deployed(f"{name}{told}", predict(_SAME, deployment, costs, each))
                for told, each in (("", electric), (_TOGETHER, replace(electric, cursors_apart=False)))
                for name, deployment in DEPLOYMENTS.items()
                if not told or deployment.collapse
            ],
        ),
    }


def fill(document: str, printed: Mapping[str, str]) -> str:
    """Put tables between their marks. Raises KeyError for a mark that has none."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{printed[found['name']]}\n{found[3]}", document)


def marks(document: str) -> list[str]:
    """Name the places for tables in a document."""
    return [found["name"] for found in _MARKED.finditer(document)]


def _cost_rows(figures: CostFigures) -> list[tuple[str, ...]]:
    return [
        (what, number(figure.value), figure.origin, figure.at[:16], figure.commit)
        for what, figure in ((what, figures.figures[name]) for name, what in _WHAT.items())
    ]


def _carried(name: str, workload: Workload, costs: Costs, electric: Electric) -> tuple[str, ...]:
    found = carry(workload, MACHINE, costs, electric)
    made = found.prediction
    return (
        *(name, number(found.orgs), number(found.online), found.limit, number(made.requests)),
        *(number(made.electric_requests), number(made.held), f"{made.cores:.2f}", _megabytes(made)),
    )


def _deployed(name: str, made: Prediction) -> tuple[str, ...]:
    return (
        *(name, number(made.requests), number(made.upstream_requests), number(made.electric_requests)),
        *(number(made.electric_held), f"{made.cores:.2f}", _megabytes(made)),
    )


def _megabytes(made: Prediction) -> str:
    return f"{number(made.memory_bytes / 1e6)} MB"


def _print(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
