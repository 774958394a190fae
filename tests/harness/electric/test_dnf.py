from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.dnf import decompose
from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.filter import parse_filter
from shapegate_harness.electric.printer import print_normal
from shapegate_harness.electric.tags import print_tags
from shapegate_harness.electric.tree import Column, Logic, Node, Not


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a", ["1"]),
        ("a OR b", ["1/", "/1"]),
        ("a AND b", ["1/1"]),
        ("a OR (b AND c)", ["1//", "/1/1"]),
        ("a AND (b OR c)", ["1/1//", "//1/1"]),
        ("NOT (a OR b)", ["1/1"]),
        ("NOT (a AND b)", ["1/", "/1"]),
    ],
)
def test_each_condition_of_each_branch_has_a_position(text: str, tags: list[str]) -> None:
    assert list(print_tags(decompose(parse_filter(text).tree), {})) == tags


def test_what_multiplies_without_end_is_refused() -> None:
    with pytest.raises(Rejected, match="more than 64 conditions"):
        decompose(parse_filter(" AND ".join(f"(a{n} OR b{n})" for n in range(30))).tree)


TREES: st.SearchStrategy[str] = st.recursive(
    st.sampled_from("abc"),
    lambda inner: st.one_of(
        inner.map(lambda text: f"NOT ({text})"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=5,
)


def truth(node: Node, given: dict[str, bool | None]) -> bool | None:
    """Postgres' three-valued logic."""
    if isinstance(node, Column):
        return given[node.path[0]]
    if isinstance(node, Not):
        held = truth(node.operand, given)
        return None if held is None else not held
    assert isinstance(node, Logic)
    parts = [truth(operand, given) for operand in node.operands]
    decisive = node.word == "or"
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


@given(TREES)
@settings(max_examples=100, deadline=None)
def test_branches_are_true_exactly_where_the_filter_is(text: str) -> None:
    tree = parse_filter(text).tree
    branches = decompose(tree)
    for values in itertools.product([True, False, None], repeat=3):
        given_ = dict(zip("abc", values, strict=True))
        active = []
        for position in branches.positions:
            held = given_[print_normal(branches.leaves[position.leaf]).strip('"')]
            active.append(held is not None and held is not position.negated)
        assert branches.shows(tuple(active)) is (truth(tree, given_) is True)
