"""Budgets that refill: the arithmetic, and what a full memory forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.buckets import Buckets
from tests.proxy.builders import Ticks


def test_a_budget_is_used_up_and_refills_with_time() -> None:
    ticks = Ticks()
    buckets: Buckets[str] = Buckets(per_minute=3, keys_max=10, monotonic=ticks)
    assert [buckets.charge("a") for _ in range(4)] == [True, True, True, False]
    assert buckets.seconds_until("a") == pytest.approx(20)
    ticks.now += 20
    assert buckets.seconds_until("a") == 0
    assert [buckets.charge("a") for _ in range(2)] == [True, False]
    ticks.now += 600
    assert buckets.left("a") == 3


def test_keys_have_budgets_of_their_own() -> None:
    buckets: Buckets[str] = Buckets(per_minute=1, keys_max=10, monotonic=Ticks())
    assert buckets.charge("a")
    assert not buckets.charge("a")
    assert buckets.charge("b")


def test_I_08_a_full_memory_forgets_the_key_charged_longest_ago() -> None:
    buckets: Buckets[int] = Buckets(per_minute=1, keys_max=2, monotonic=Ticks())
    for key in (1, 2, 1, 3):
        buckets.charge(key)
    assert [buckets.left(key) for key in (1, 2, 3)] == [0, 1, 0]


@given(st.lists(st.tuples(st.floats(0, 90), st.booleans()), max_size=60), st.integers(1, 20))
def test_no_minute_grants_more_than_twice_the_budget(
    steps: list[tuple[float, bool]], per_minute: int
) -> None:
    """A full budget at the start of a minute, and what refills in it."""
    ticks, granted = Ticks(), list[float]()
    buckets: Buckets[str] = Buckets(per_minute=per_minute, keys_max=1, monotonic=ticks)
    for wait, charged in steps:
        ticks.now += wait
        if charged and buckets.charge("a"):
            granted.append(ticks.now)
        assert 0 <= buckets.left("a") <= per_minute
    for start in granted:
        assert sum(start <= at < start + 60 for at in granted) <= 2 * per_minute
