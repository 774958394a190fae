"""A measured figure, its goal, and the table that shows both. Pure: no I/O, no clock."""

from __future__ import annotations

import enum
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GATE_SLACK: Final = 0.2
"""How far a gated goal may be missed: the machine is shared and noisy."""
_HEADER: Final = ("figure", "median", "must", "aim", "verdict", "rounds")


class Bound(enum.Enum):
    """Which side of a goal is the right one."""

    AT_MOST = "<="
    AT_LEAST = ">="


class Verdict(enum.Enum):
    """What a figure says about its goal."""

    AIM_MET = "aim met"
    """Better than the goal, as far as is aimed at."""
    MET = "met"
    NEAR = "near"
    """Missed, by no more than the slack."""
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is to be reached (PERFORMANCE)."""

    name: str
    unit: str
    bound: Bound
    value: float
    gated: bool = True
    """Whether a miss fails a run with --gate."""
    aim: float | None = None
    """What is hoped for beyond it, on the same side; missing it fails nothing."""

    def verdict(self, measured: float) -> Verdict:
        """Judge a median."""
        if self.aim is not None and self._holds(measured, self.aim):
            return Verdict.AIM_MET
        if self._holds(measured, self.value):
            return Verdict.MET
        slack = GATE_SLACK if self.bound is Bound.AT_MOST else -GATE_SLACK
        return Verdict.NEAR if self._holds(measured, self.value * (1 + slack)) else Verdict.MISSED

    def _holds(self, measured: float, bound: float) -> bool:
        match self.bound:
            case Bound.AT_MOST:
                return measured <= bound
            case Bound.AT_LEAST:
                return measured >= bound
            case _:
                assert_never(self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One goal and its rounds."""

    goal: Goal
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> Verdict:
        """What the median says."""
        return self.goal.verdict(self.median)

    def to_json(self) -> Mapping[str, object]:
        """Print for the results."""
        return {
            "name": self.goal.name,
            "unit": self.goal.unit,
            "goal": f"{self.goal.bound.value} {self.goal.value:g}",
            "aim": self.goal.aim,
            "gated": self.goal.gated,
            "median": self.median,
            "rounds": list(self.rounds),
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A figure that cannot be measured here."""

    goal: Goal
    reason: str

    def to_json(self) -> Mapping[str, object]:
        """Print for the results."""
        return {"name": self.goal.name, "skipped": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A figure without a goal, beside those that have one."""

    name: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    def to_json(self) -> Mapping[str, object]:
        """Print for the results."""
        return {"name": self.name, "unit": self.unit, "median": self.median, "rounds": list(self.rounds)}


Result = Figure | Reading | Skipped


def judge(goal: Goal, rounds: Sequence[float] | None, *, missing: str = "") -> Figure | Skipped:
    """Make a figure of its rounds; without any it was skipped because of what is `missing`."""
    if not rounds:
        return Skipped(goal=goal, reason=missing)
    return Figure(goal=goal, rounds=tuple(rounds))


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Divide round by round: what was measured in the same turn is compared."""
    return tuple(one / other for one, other in zip(above, below, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many of all do not exceed. Expects at least one value."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def fails_gate(results: Sequence[Result]) -> bool:
    """Tell whether a gated goal is missed by more than the slack; what was skipped does not count."""
    return any(
        isinstance(result, Figure) and result.goal.gated and result.verdict is Verdict.MISSED
        for result in results
    )


def table(results: Sequence[Result]) -> str:
    """Print all results, one line each."""
    lines = [_HEADER, *map(_cells, results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(result: Result) -> tuple[str, ...]:
    match result:
        case Figure():
            median = f"{_number(result.median)} {result.goal.unit}"
            return (*_named(result.goal, median), result.verdict.value, _rounds(result.rounds))
        case Reading():
            median = f"{_number(result.median)} {result.unit}"
            return (result.name, median, "-", "-", "-", _rounds(result.rounds))
        case Skipped():
            return (*_named(result.goal, "-"), "skipped", result.reason)
        case _:
            assert_never(result)


def _named(goal: Goal, median: str) -> tuple[str, str, str, str]:
    must = f"{goal.bound.value} {_number(goal.value)} {goal.unit}"
    aim = "-" if goal.aim is None else f"{goal.bound.value} {_number(goal.aim)}"
    return goal.name, median, must if goal.gated else f"({must})", aim


def _rounds(rounds: Sequence[float]) -> str:
    return " ".join(map(_number, rounds))


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
