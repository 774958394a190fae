from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from benchmarks import proxy
from benchmarks.figure import Bound, Goal, Reading, Result, Skipped
from benchmarks.running import Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Bench

GOAL = Goal(name="slow", unit="ms", bound=Bound.AT_MOST, value=10.0)
SAID = Reading(name="peer", unit="ms", rounds=(1.0,))


async def measured(bench: Bench) -> Sequence[Result]:
    assert bench.folder.is_dir()
    bench.on_progress("measuring")
    return (SAID,)


async def lacking(_bench: Bench) -> Sequence[Result]:
    raise Missing("this system has no such thing")


@pytest.mark.parametrize(
    ("only", "results"),
    [
        ((), (SAID, Skipped(goal=GOAL, reason="this system has no such thing"))),
        (("one",), (SAID,)),
        (("other",), (Skipped(goal=GOAL, reason="this system has no such thing"),)),
    ],
)
def test_rows_are_measured_in_order_and_what_lacks_something_is_skipped(
    only: tuple[str, ...], results: tuple[Result, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"one": proxy.Row(measured, ()), "other": proxy.Row(lacking, (GOAL,))}
    monkeypatch.setattr(proxy, "ROWS", rows)
    said: list[str] = []
    *found, disturbed = asyncio.run(proxy.measure(quick=True, on_progress=said.append, only=only))
    assert tuple(found) == results
    assert isinstance(disturbed, Reading)
    assert disturbed.name == proxy.DISTURBED
    assert len(disturbed.rounds) == len(results)


def test_every_gated_goal_of_a_row_says_the_side_of_its_aim() -> None:
    for row in proxy.ROWS.values():
        for goal in row.goals:
            if goal.aim is not None:
                better = goal.aim <= goal.value if goal.bound is Bound.AT_MOST else goal.aim >= goal.value
                assert better, goal.name
