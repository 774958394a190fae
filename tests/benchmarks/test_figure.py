from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figure import (
    Bound,
    Figure,
    Goal,
    Reading,
    Skipped,
    Verdict,
    fails_gate,
    judge,
    percentile,
    ratios,
    table,
)

AT_MOST = Goal(name="slow", unit="ms", bound=Bound.AT_MOST, value=10.0)
AT_LEAST = Goal(name="fast", unit="MB/s", bound=Bound.AT_LEAST, value=20.0)
BOTH = Goal(name="aimed", unit="x", bound=Bound.AT_MOST, value=2.0, aim=1.5)
BOTH_LEAST = Goal(name="aimed", unit="x", bound=Bound.AT_LEAST, value=2.0, aim=3.0)
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
        (BOTH, 1.5, Verdict.AIM_MET),
        (BOTH, 1.51, Verdict.MET),
        (BOTH, 2.4, Verdict.NEAR),
        (BOTH, 2.41, Verdict.MISSED),
        (BOTH_LEAST, 3.0, Verdict.AIM_MET),
        (BOTH_LEAST, 2.9, Verdict.MET),
        (BOTH_LEAST, 1.5, Verdict.MISSED),
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
    beside = Reading(name="slow", unit="ms", rounds=(99.0,))
    skipped = Skipped(goal=AT_LEAST, reason="none")
    assert not fails_gate((near, Figure(goal=OPEN, rounds=(99.0,)), skipped, beside))
    assert not fails_gate((Figure(goal=BOTH, rounds=(1.9,)),))
    assert fails_gate((near, missed))


def test_the_table_names_median_goals_verdict_rounds_and_what_was_skipped() -> None:
    printed = table(
        (
            Figure(goal=AT_MOST, rounds=(9.0, 11.0, 30.0)),
            Figure(goal=BOTH, rounds=(1.4,)),
            Figure(goal=OPEN, rounds=(0.5,)),
            Reading(name="peer", unit="req/s", rounds=(12_345.6, 99.99)),
            Skipped(goal=AT_LEAST, reason="no /proc"),
        )
    )
    assert printed.splitlines() == [
        "figure  median      must        aim     verdict  rounds",
        "slow    11 ms       <= 10 ms    -       near     9 11 30",
        "aimed   1.4 x       <= 2 x      <= 1.5  aim met  1.4",
        "aim     0.5 ms      (<= 1 ms)   -       met      0.5",
        "peer    6223 req/s  -           -       -        12346 100",
        "fast    -           >= 20 MB/s  -       skipped  no /proc",
    ]


def test_without_rounds_a_goal_was_skipped_for_what_is_missing() -> None:
    assert judge(AT_MOST, [1.0, 2.0]) == Figure(goal=AT_MOST, rounds=(1.0, 2.0))
    assert judge(AT_MOST, [], missing="no peer") == Skipped(goal=AT_MOST, reason="no peer")


def test_ratios_compare_what_was_measured_in_the_same_round() -> None:
    assert ratios([10.0, 30.0], [5.0, 10.0]) == (2.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0, 100))
def test_so_many_values_do_not_exceed_their_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100


def test_results_say_what_was_measured_and_against_what() -> None:
    assert Figure(goal=AT_LEAST, rounds=(25.0,)).to_json() == {
        "name": "fast",
        "unit": "MB/s",
        "goal": ">= 20",
        "aim": None,
        "gated": True,
        "median": 25.0,
        "rounds": [25.0],
        "verdict": "met",
    }
    assert Skipped(goal=OPEN, reason="why").to_json() == {"name": "aim", "skipped": "why"}
    assert Reading(name="peer", unit="us", rounds=(3.0, 1.0)).to_json() == {
        "name": "peer",
        "unit": "us",
        "median": 2.0,
        "rounds": [3.0, 1.0],
    }
