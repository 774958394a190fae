"""The measured figures of the cost model, in `cost_figures.json`: each with where it is from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.comparison import Measured
from benchmarks.cost_model import Costs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PATH: Final = Path(__file__).with_name("cost_figures.json")


class NoFigure(Exception):
    """A figure was never measured on this machine; the text says what to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which result of the bench says a cost."""

    row: str
    """What `--only` takes."""
    name: str
    unit: str
    convert: Callable[[float], float] = float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigure:
    """One cost as it was measured."""

    value: float
    origin: str
    """The result's name and unit, or that it is of the simulation's own calibration."""
    at: str
    commit: str
    """With a + where files were changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigures:
    """All costs, by the names of `Costs`, and the machine they were measured on."""

    figures: Mapping[str, CostFigure]
    points: Mapping[str, Measured]
    """What was measured beside them, to compare predictions with; by title."""
    machine: str

    @property
    def costs(self) -> Costs:
        """The values alone."""
        return Costs(**{name: figure.value for name, figure in self.figures.items()})


def _kilobytes(value: float) -> float:
    return value * 1_024


def _from_stream(milliseconds: float) -> float:
    """Spread what a stream of 100 MB took."""
    return milliseconds * 1_000 / 100


def _from_speed(megabytes: float) -> float:
    """Take the whole time as CPU time: it cannot be more."""
    return 1e6 / megabytes


ORIGINS: Final[Mapping[str, Origin]] = {
    "kept_us": Origin(row="kept", name="tiny answer from the cache: the gate", unit="us CPU"),
    "relayed_us": Origin(row="tiny", name="tiny answer: the gate", unit="us CPU"),
    "distinct_us": Origin(row="distinct", name="tiny answer, each another: the gate", unit="us CPU"),
    "passed_on_us_mb": Origin(
        row="stream", name="a long chunk: the gate", unit="ms CPU", convert=_from_stream
    ),
    "kept_us_mb": Origin(row="kept-chunk", name="a 10 MB chunk: the gate", unit="MB/s", convert=_from_speed),
    "held_alone_bytes": Origin(row="held", name="a held live poll, alone", unit="KB", convert=_kilobytes),
    "held_shared_bytes": Origin(
        row="held", name="a held live poll, collapsed", unit="KB", convert=_kilobytes
    ),
}
"""What the proxy's section of the bench measures; the rest is `calibration`."""


def from_results(results: Sequence[Mapping[str, object]]) -> Mapping[str, CostFigure]:
    """Take each cost from the newest result that has it; results are given from the newest on.

    Raises NoFigure if one is in none of them.
    """
    found = {cost: _newest(origin, results) for cost, origin in ORIGINS.items()}
    missing = sorted({ORIGINS[cost].row for cost, figure in found.items() if figure is None})
    if missing:
        raise NoFigure(f"not measured yet: run python -m benchmarks proxy --only {','.join(missing)}")
    return {cost: figure for cost, figure in found.items() if figure is not None}


def _newest(origin: Origin, results: Sequence[Mapping[str, object]]) -> CostFigure | None:
    for result in results:
        figures = result["figures"]
        assert isinstance(figures, list)
        for figure in figures:
            if (figure["name"], figure.get("unit")) == (origin.name, origin.unit) and "median" in figure:
                return CostFigure(
                    value=_rounded(origin.convert(figure["median"])),
                    origin=f"{origin.name}, {origin.unit}",
                    at=str(result["at"]),
                    commit=commit_of(result),
                )
    return None


def commit_of(described: Mapping[str, object]) -> str:
    """Name the commit that was measured; a + says that files were changed."""
    return f"{str(described['commit'])[:12]}{'+' if described['changed_files'] else ''}"


def calibrated(values: Mapping[str, float], *, at: str, commit: str) -> Mapping[str, CostFigure]:
    """Name costs that were measured just now."""
    origin = "calibration of the simulation"
    return {
        name: CostFigure(value=_rounded(value), origin=origin, at=at, commit=commit)
        for name, value in values.items()
    }


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def read_results(folder: Path) -> list[Mapping[str, object]]:
    """Read the results of the proxy's section, the newest first."""
    paths = sorted(folder.glob("proxy-*.json"), reverse=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def read_figures(path: Path = PATH) -> CostFigures:
    """Read what was written."""
    read = json.loads(path.read_text(encoding="utf-8"))
    figures = {field.name: CostFigure(**read["figures"][field.name]) for field in fields(Costs)}
    points = {title: Measured(**point) for title, point in read["points"].items()}
    return CostFigures(figures=figures, points=points, machine=read["machine"])


def print_figures(figures: CostFigures) -> str:
    """Print what `read_figures` reads."""
    listed = {name: asdict(figure) for name, figure in figures.figures.items()}
    points = {title: asdict(point) for title, point in figures.points.items()}
    return json.dumps({"machine": figures.machine, "figures": listed, "points": points}, indent=2) + "\n"
