"""Predict what a workload costs gates and Electric: `python -m benchmarks.simulate [--orgs N ...]`.

`--compare` measures a small point and prints it beside its prediction. `--renew` measures again what the
predictions rest on (four minutes, after the proxy's section of the bench), and `--tables` computes the
tables of `docs/scaling.md` again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.__main__ import RESULTS
from benchmarks.calibration import calibrate
from benchmarks.capacity import use
from benchmarks.comparison import LONG_POLL_SECONDS, POINTS, compare, number, print_compared
from benchmarks.cost_figures import (
    PATH,
    CostFigures,
    NoFigure,
    calibrated,
    commit_of,
    from_results,
    print_figures,
    read_figures,
    read_results,
)
from benchmarks.cost_model import predict
from benchmarks.gate import Variant
from benchmarks.machine import describe
from benchmarks.measured_point import measure
from benchmarks.processes import NoProc
from benchmarks.running import NotReady, WrongAnswer
from benchmarks.scaling_tables import fill, tables
from benchmarks.workload import Deployment, Electric, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.comparison import Measured
    from benchmarks.cost_model import Costs, Prediction

DOCUMENT: Final = Path(__file__).resolve().parent.parent / "docs" / "scaling.md"
_POINT_SECONDS: Final = 15.0
_SHOWN: Final[Mapping[str, tuple[str, float]]] = {
    "requests": ("requests/s at the gate", 1),
    "upstream_requests": ("sent on/s", 1),
    "electric_requests": ("requests/s at Electric", 1),
    "held": ("live polls held", 1),
    "electric_held": ("live polls held at Electric", 1),
    "connections": ("connections of clients", 1),
    "descriptors": ("open files of one process", 1),
    "cores": ("CPU, cores", 1),
    "memory_bytes": ("memory, MB", 1e6),
    "body_bytes": ("bodies, MB/s", 1e6),
    "shapes": ("shapes at Electric", 1),
    "electric_log_bytes": ("logs at Electric, MB", 1e6),
    "electric_changes": ("row changes/s at Electric", 1),
}


def main(words: Sequence[str]) -> int:
    """Do what the words say."""
    asked = _parser().parse_args(words)
    try:
        if asked.renew:
            asyncio.run(_renew())
        if asked.renew or asked.tables:
            DOCUMENT.write_text(fill(DOCUMENT.read_text("utf-8"), tables(read_figures())), "utf-8")
        elif asked.compare:
            costs = read_figures().costs
            _say(_compared(asyncio.run(_measure_points()), costs))
        else:
            _say(_predicted(asked))
    except (NoFigure, NotReady, NoProc, WrongAnswer) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.simulate", description=__doc__.partition("\n")[0])
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--compare", action="store_true", help="measure a small point beside its prediction")
    does.add_argument("--renew", action="store_true", help="measure the costs again, and print the tables")
    does.add_argument("--tables", action="store_true", help="compute the tables of docs/scaling.md again")
    for field in fields(Workload):
        _add(parser, field.name, getattr(Workload(), field.name))
    for name in ("gates", "workers", "cache_bytes"):
        _add(parser, name, getattr(Deployment(), name))
    return parser


def _add(parser: argparse.ArgumentParser, name: str, default: float) -> None:
    option = f"--{name.replace('_', '-')}"
    parser.add_argument(option, type=type(default), default=default, metavar="N", help=f"default {default}")


def _predicted(asked: argparse.Namespace) -> str:
    """Print one workload in front of several ways to share."""
    workload = Workload(**{field.name: getattr(asked, field.name) for field in fields(Workload)})
    as_asked = Deployment(gates=asked.gates, workers=asked.workers, cache_bytes=asked.cache_bytes)
    columns = {
        "nothing shared": replace(as_asked, collapse=False, cache_bytes=0),
        "collapsed": replace(as_asked, cache_bytes=0),
        "and kept": as_asked,
        "and HTTP cache": replace(as_asked, http_cache=True),
    }
    costs, electric = read_figures().costs, Electric()
    made = {name: predict(workload, deployment, costs, electric) for name, deployment in columns.items()}
    taken = use(as_asked, made["and kept"], electric)
    limits = ", ".join(f"{name} {share:.0%}" for name, share in taken.items())
    return f"{print_predictions(made)}\n\nof what can be borne, as asked for: {limits}"


def print_predictions(made: Mapping[str, Prediction]) -> str:
    """Print a line for each figure, a column for each prediction."""
    lines = ["".join((f"{'':<30}", *(f"{name:>18}" for name in made)))]
    for name, (shown, unit) in _SHOWN.items():
        cells = (f"{number(getattr(each, name) / unit):>18}" for each in made.values())
        lines.append("".join((f"{shown:<30}", *cells)))
    return "\n".join(lines)


async def _measure_points() -> Mapping[str, Measured]:
    measured = {}
    with tempfile.TemporaryDirectory(prefix="shapegate-point-") as name:
        for title, point in POINTS.items():
            _progress(f"a point to compare with: {title}")
            measured[title] = await measure(
                Path(name),
                point.workload,
                variant=Variant(collapse=point.shared, cache=point.shared, workers=point.workers),
                long_poll_seconds=LONG_POLL_SECONDS,
                cursors_apart=point.cursors_apart,
                seconds=_POINT_SECONDS,
            )
    return measured


def _compared(measured: Mapping[str, Measured], costs: Costs) -> str:
    return "\n\n".join(
        print_compared(title, compare(point, measured[title], costs)) for title, point in POINTS.items()
    )


async def _renew() -> None:
    """Measure what the bench does not, and take the rest from its newest results. Raises NoFigure first."""
    known = from_results(read_results(RESULTS))
    upstream_us = max(0.0, known["relayed_us"].value - known["kept_us"].value)
    with tempfile.TemporaryDirectory(prefix="shapegate-calibration-") as name:
        live = await calibrate(
            Path(name),
            upstream_us=upstream_us,
            on_progress=_progress,
        )
    described = describe()
    machine = described["machine"]
    assert isinstance(machine, dict)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    figures = CostFigures(
        figures={**known, **calibrated(asdict(live), at=now, commit=commit_of(described))},
        points=await _measure_points(),
        machine=f"{machine['cores']} cores, {machine['processor']}, {machine['system']}",
    )
    PATH.write_text(print_figures(figures), encoding="utf-8")


def _progress(text: str) -> None:
    sys.stderr.write(f"{text} ...\n")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
