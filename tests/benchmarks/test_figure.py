from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figure import Bound, Figure, Goal, Skipped, Verdict, fails_gate, table

AT_MOST = Goal(name="slow", unit="ms", bound=Bound.AT_MOST, value=10.0)
AT_LEAST = Goal(name="fast", unit="MB/s", bound=Bound.AT_LEAST, value=20.0)
OPEN = Goal(name="aim", unit="ms", bound=Bound.AT_MOST, value=1.0, gated=False)


@pytest.mark.parametrize(
    ("goal", "measured", "verdict"),
    [
        (AT_MOST, 10.0, Verdict.MET),
        (AT_MOST, 10.1, Verdict.NEAR),
        (AT_MOST, 12.0, Verdict.NEAR),
        (AT_MOST, 12.1, Verdict.MISSED),
        (AT_LEAST, 20.0, Verdict.MET),
        (AT_LEAST, 19.9, Verdict.NEAR),
        (AT_LEAST, 16.0, Verdict.NEAR),
        (AT_LEAST, 15.9, Verdict.MISSED),
    ],
)
def test_a_goal_is_met_nearly_met_or_missed(goal: Goal, measured: float, verdict: Verdict) -> None:
    assert goal.verdict(measured) is verdict


def test_the_median_decides_not_the_worst_round() -> None:
    figure = Figure(goal=AT_MOST, rounds=(9.0, 8.0, 500.0))
    assert (figure.median, figure.verdict) == (9.0, Verdict.MET)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9))
def test_the_median_lies_between_the_rounds(rounds: list[float]) -> None:
    assert min(rounds) <= Figure(goal=AT_MOST, rounds=tuple(rounds)).median <= max(rounds)


def test_only_a_gated_goal_that_is_clearly_missed_fails_the_gate() -> None:
    near, missed = Figure(goal=AT_MOST, rounds=(11.0,)), Figure(goal=AT_LEAST, rounds=(1.0,))
    assert not fails_gate((near, Figure(goal=OPEN, rounds=(99.0,)), Skipped(goal=AT_LEAST, reason="none")))
    assert fails_gate((near, missed))


def test_the_table_names_median_goal_verdict_rounds_and_what_was_skipped() -> None:
    printed = table(
        (Figure(goal=AT_MOST, rounds=(9.0, 11.0, 30.0)), Skipped(goal=AT_LEAST, reason="no /proc"))
    )
    assert printed.splitlines() == [
        "figure  median  goal        verdict  rounds",
        "slow    11 ms   <= 10 ms    near     9 11 30",
        "fast    -       >= 20 MB/s  skipped  no /proc",
    ]


def test_results_say_what_was_measured_and_against_what() -> None:
    assert Figure(goal=AT_LEAST, rounds=(25.0,)).to_json() == {
        "name": "fast",
        "unit": "MB/s",
        "goal": ">= 20",
        "gated": True,
        "median": 25.0,
        "rounds": [25.0],
        "verdict": "met",
    }
    assert Skipped(goal=OPEN, reason="why").to_json() == {"name": "aim", "skipped": "why"}
