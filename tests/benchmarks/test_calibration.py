from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.calibration import LiveCosts, medians, solve
from benchmarks.comparison import Measured

POINT = Measured(
    seconds=5,
    changes_per_second=2,
    reloads_per_second=0,
    age_seconds=10,
    requests=200,
    live_requests=200,
    upstream_requests=2,
    held=100,
    electric_held=1,
    cores=(200 * 250 + 2 * 1_000) / 1e6,
    memory_bytes=50_000_000 + 100 * 8_000,
    base_bytes=50_000_000,
    answered=3_000,
    body_bytes=0,
)
SPARSE = replace(POINT, live_requests=60, upstream_requests=20, cores=(60 * 250 + 20 * 1_000) / 1e6)
ALONE = replace(POINT, upstream_requests=200, cores=(200 * 350 + 2 * 1_000) / 1e6)
BEGINNERS = replace(
    POINT,
    live_requests=10,
    upstream_requests=5,
    reloads_per_second=20,
    cores=(10 * 250 + 5 * 80 + 20 * 700) / 1e6,
)


def test_the_costs_that_made_the_points_are_found_again() -> None:
    found = solve([POINT, SPARSE, ALONE, BEGINNERS], upstream_us=80)
    assert found.shared_live_us == pytest.approx(250)
    assert found.burst_us == pytest.approx(1_000)
    assert found.alone_live_us == pytest.approx(350)
    assert found.begin_us == pytest.approx(700)
    assert found.process_bytes == 50_000_000


def test_noise_makes_no_cost_negative() -> None:
    cheap = replace(SPARSE, cores=0.001)
    found = solve([POINT, cheap, ALONE, BEGINNERS], upstream_us=80)
    assert found.burst_us == 0


def test_each_cost_is_the_middle_of_its_rounds() -> None:
    rounds = [_costs(value) for value in (1.0, 9.0, 2.0)]
    assert medians(rounds) == _costs(2.0)


def _costs(value: float) -> LiveCosts:
    return LiveCosts(
        shared_live_us=value,
        alone_live_us=value,
        burst_us=value,
        begin_us=value,
        process_bytes=value,
        admission_bytes=value,
    )
