from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.turns import rotated


@given(st.lists(st.integers(), unique=True, max_size=6))
def test_in_as_many_turns_as_there_are_items_each_is_once_in_every_place(items: list[int]) -> None:
    turns = [rotated(items, number) for number in range(len(items))]
    for place in zip(*turns, strict=True):
        assert sorted(place) == sorted(items)


def test_the_first_turn_is_the_given_order_and_none_stays_none() -> None:
    assert rotated("abc", 0) == ("a", "b", "c")
    assert rotated("abc", 4) == ("b", "c", "a")
    assert rotated((), 3) == ()
