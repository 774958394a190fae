from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.members import Members, Moves


@pytest.mark.parametrize(
    ("members", "value", "is_in", "is_not_in"),
    [
        ([("a",)], ("a",), True, False),
        ([("a",)], ("b",), False, True),
        ([], ("a",), False, True),
        # As Postgres: null is IN nothing, and NOT IN an empty answer only.
        ([], (None,), False, True),
        ([("a",)], (None,), False, False),
        ([("a",), (None,)], ("a",), True, False),
        ([("a",), (None,)], ("b",), False, False),
        ([("a", "b")], ("a", "b"), True, False),
        ([("a", "b")], ("a", None), False, False),
        ([("a", "b")], ("c", None), False, True),
        ([("a", None)], ("a", "b"), False, False),
        ([("a", None)], ("c", "b"), False, True),
    ],
)
def test_membership_is_true_where_postgres_says_so(
    members: list[tuple[str | None, ...]], value: tuple[str | None, ...], is_in: bool, is_not_in: bool
) -> None:
    held = Members(Counter(members))
    assert held.admits(value, negated=False) is is_in
    assert held.admits(value, negated=True) is is_not_in


def test_a_value_moves_with_its_first_and_last_row_only() -> None:
    held = Members({("a",): 2, ("b",): 1})
    assert held.moves({("a",): -1, ("b",): -1, ("c",): 2}) == Moves((("c",),), (("b",),))
    assert not held.moves({("a",): 5})


def test_a_row_that_leaves_without_having_been_there_is_noticed() -> None:
    assert Members({("a",): 1}).moves({("a",): -2}) is None
    assert Members({}).moves({("a",): -1}) is None


@pytest.mark.parametrize(
    ("moves", "members", "followed"),
    [
        (Moves((("c",),), ()), [("a",)], True),
        (Moves((), (("a",),)), [("a",), ("b",)], True),
        (Moves((("c",),), ()), [], False),
        (Moves((), (("a",),)), [("a",)], False),
        (Moves(((None,),), ()), [("a",)], False),
        (Moves((("c", "d"),), ()), [("a", "b")], False),
    ],
)
def test_not_in_is_followed_where_one_value_concerns_only_rows_with_it(
    moves: Moves, members: list[tuple[str | None, ...]], followed: bool
) -> None:
    held = Members(Counter(members))
    assert held.follows(moves, negated=True) is followed
    assert held.follows(moves, negated=False)


@given(
    st.lists(st.tuples(st.tuples(st.sampled_from(["a", "b", None])), st.sampled_from([1, -1])), max_size=30)
)
@settings(max_examples=100, deadline=None)
def test_applied_changes_leave_what_a_fresh_answer_would_be(
    changes: list[tuple[tuple[str | None], int]],
) -> None:
    held = Members({})
    expected: Counter[tuple[str | None, ...]] = Counter()
    for value, change in changes:
        if held.moves({value: change}) is None:
            continue
        held.apply({value: change})
        expected[value] += change
    fresh = Members(+expected)
    assert len(held) == len(fresh)
    for value in [("a",), ("b",), (None,)]:
        for negated in (False, True):
            assert held.admits(value, negated=negated) is fresh.admits(value, negated=negated)
