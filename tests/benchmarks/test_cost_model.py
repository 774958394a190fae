from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cost_model import Costs, first_of, idle_bytes, occupied, poll_wait, predict
from benchmarks.workload import Deployment, Electric, Workload
from shapegate_proxy.admissions import ADMISSIONS_MAX
from shapegate_proxy.config import SharingSettings
from shapegate_proxy.freshness import FRESH_SECONDS_MAX

COSTS = Costs(
    kept_us=20,
    relayed_us=100,
    distinct_us=300,
    shared_live_us=250,
    alone_live_us=350,
    burst_us=1_000,
    begin_us=700,
    passed_on_us_mb=750,
    kept_us_mb=650,
    held_alone_bytes=16_000,
    held_shared_bytes=8_000,
    process_bytes=5e7,
    admission_bytes=4_000,
)
ELECTRIC = Electric()
QUIET = Workload(
    orgs=10, users=100, online=0.5, shapes=1, changes_per_minute=0, reloads_per_hour=0, return_seconds=0
)
workloads = st.builds(
    Workload,
    orgs=st.integers(1, 1_000),
    users=st.integers(1, 1_000),
    online=st.floats(0.01, 1),
    shapes=st.integers(1, 20),
    own=st.floats(0, 1),
    changes_per_minute=st.floats(0, 1_000),
    initial_bytes=st.integers(1, 50_000_000),
    reloads_per_hour=st.floats(0, 100),
    return_seconds=st.floats(0, 1),
)
processes = st.builds(Deployment, gates=st.integers(1, 8), workers=st.integers(1, 8))


def test_who_waits_for_nothing_asks_every_twenty_seconds() -> None:
    made = predict(QUIET, Deployment(), COSTS, ELECTRIC)
    assert made.requests == pytest.approx(500 / 20)
    assert made.upstream_requests == pytest.approx(10 / 20)
    assert made.held == made.connections == pytest.approx(500)
    assert made.electric_held == pytest.approx(10)


def test_without_collapsing_each_poll_is_held_at_electric() -> None:
    made = predict(QUIET, Deployment(collapse=False), COSTS, ELECTRIC)
    assert made.upstream_requests == made.requests == pytest.approx(25)
    assert made.electric_held == pytest.approx(500)


def test_each_process_with_followers_asks_for_itself() -> None:
    made = predict(QUIET, Deployment(gates=2, workers=2), COSTS, ELECTRIC)
    assert made.electric_held == pytest.approx(10 * occupied(4, 50))
    assert 39 < made.electric_held < 40


def test_what_is_a_users_own_is_never_shared() -> None:
    own = replace(QUIET, own=1.0, changes_per_minute=60)
    shared, alone = (predict(own, Deployment(collapse=each), COSTS, ELECTRIC) for each in (True, False))
    assert shared.electric_held == pytest.approx(alone.electric_held)
    assert shared.shapes == pytest.approx(500)


def test_a_poll_is_held_for_as_long_as_chance_lets_nothing_change() -> None:
    chance = random.Random(7)  # noqa: S311  # not for secrets
    waits = [min(20.0, chance.expovariate(0.05)) for _ in range(100_000)]
    assert poll_wait(0.05, 20.0) == pytest.approx(sum(waits) / len(waits), rel=0.01)
    assert poll_wait(0.0, 20.0) == 20.0
    assert poll_wait(1e-12, 20.0) == pytest.approx(20.0)


def test_what_is_kept_is_asked_for_once_while_it_is_fresh() -> None:
    chance, now, kept_until, missed, arrivals = random.Random(7), 0.0, -1.0, 0, 50_000  # noqa: S311  # as above
    for _ in range(arrivals):
        now += chance.expovariate(0.5)
        if now > kept_until:
            missed, kept_until = missed + 1, now + 60
    assert first_of(0.5, 60) == pytest.approx(missed / now, rel=0.05)


def test_an_http_cache_reads_for_all_gates_once() -> None:
    begin = replace(QUIET, reloads_per_hour=20)
    gates = Deployment(gates=8)
    plain = predict(begin, gates, COSTS, ELECTRIC)
    cached = predict(begin, replace(gates, http_cache=True), COSTS, ELECTRIC)
    assert cached.upstream_requests == pytest.approx(plain.upstream_requests)
    assert cached.electric_requests < plain.electric_requests


def test_memory_fills_with_the_age_of_a_process_up_to_its_bound() -> None:
    begin = replace(QUIET, reloads_per_hour=20)
    young, old = (
        predict(begin, Deployment(age_seconds=age), COSTS, ELECTRIC).memory_bytes for age in (0, math.inf)
    )
    assert old - young == pytest.approx(ADMISSIONS_MAX * COSTS.admission_bytes)


def test_several_workers_have_a_parent() -> None:
    assert [idle_bytes(Deployment(gates=3, workers=workers), COSTS) for workers in (1, 2)] == [15e7, 45e7]


def test_the_bounds_of_the_model_are_those_of_the_gate() -> None:
    assert Electric().fresh_seconds == FRESH_SECONDS_MAX
    assert Deployment().cache_bytes == SharingSettings().cache_bytes


@given(workloads, processes)
def test_sharing_never_costs_electric_more(workload: Workload, deployment: Deployment) -> None:
    nothing = predict(workload, replace(deployment, collapse=False, cache_bytes=0), COSTS, ELECTRIC)
    collapsed = predict(workload, replace(deployment, cache_bytes=0), COSTS, ELECTRIC)
    cached = predict(workload, replace(deployment, http_cache=True), COSTS, ELECTRIC)
    assert collapsed.upstream_requests <= nothing.upstream_requests * (1 + 1e-9)
    assert collapsed.electric_held <= nothing.electric_held * (1 + 1e-9) + 1e-9
    assert cached.electric_requests <= cached.upstream_requests * (1 + 1e-9)
    assert nothing.held <= nothing.connections * (1 + 1e-9)


@given(workloads, processes)
def test_twice_the_organizations_are_twice_the_work(workload: Workload, deployment: Deployment) -> None:
    unbounded = replace(deployment, cache_bytes=10**15)
    once = predict(workload, unbounded, COSTS, ELECTRIC)
    twice = predict(replace(workload, orgs=2 * workload.orgs), unbounded, COSTS, ELECTRIC)
    for name in ("requests", "electric_requests", "cores", "held", "body_bytes", "shapes"):
        assert getattr(twice, name) == pytest.approx(2 * getattr(once, name)), name
