"""A measured figure, its goal, and the table that shows both. Pure: no I/O, no clock."""

from __future__ import annotations

import enum
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GATE_SLACK: Final = 0.2
"""How far a gated goal may be missed: the machine is shared and noisy."""
_HEADER: Final = ("figure", "median", "goal", "verdict", "rounds")


class Bound(enum.Enum):
    """Which side of a goal is the right one."""

    AT_MOST = "<="
    AT_LEAST = ">="


class Verdict(enum.Enum):
    """What a figure says about its goal."""

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

    def verdict(self, measured: float) -> Verdict:
        """Judge a median."""
        match self.bound:
            case Bound.AT_MOST:
                met, near = measured <= self.value, measured <= self.value * (1 + GATE_SLACK)
            case Bound.AT_LEAST:
                met, near = measured >= self.value, measured >= self.value * (1 - GATE_SLACK)
            case _:
                assert_never(self.bound)
        return Verdict.MET if met else Verdict.NEAR if near else Verdict.MISSED


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


Result = Figure | Skipped


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
    goal = f"{result.goal.bound.value} {result.goal.value:g} {result.goal.unit}"
    match result:
        case Figure():
            rounds = " ".join(f"{value:.3g}" for value in result.rounds)
            median = f"{result.median:.3g} {result.goal.unit}"
            return (result.goal.name, median, goal, result.verdict.value, rounds)
        case Skipped():
            return (result.goal.name, "-", goal, "skipped", result.reason)
        case _:
            assert_never(result)
