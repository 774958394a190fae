"""The ordering of a subset: columns, a direction each, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.filter import FilterRefused, OrderItem, parse_order_by, print_order_by
from tests.refusals import Refusal, told_otherwise
from tests.wire.filter.hostile import NOISE
from tests.wire.filter.table import COLUMNS

if TYPE_CHECKING:
    from tests.wire.filter.legal import Written

ITEMS = st.builds(
    OrderItem,
    column=st.sampled_from([name for name in COLUMNS if name not in ("j", "ch")]),
    descending=st.booleans(),
    nulls_first=st.booleans(),
)


def refusal(case: Refusal) -> str:
    with pytest.raises(FilterRefused) as caught:
        parse_order_by(case.text, COLUMNS)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("n", '"n" ASC NULLS LAST'),
        ("N asc", '"n" ASC NULLS LAST'),
        ("n DESC", '"n" DESC NULLS FIRST'),
        ("n nulls first", '"n" ASC NULLS FIRST'),
        ("num DESC NULLS LAST, id ASC", '"num" DESC NULLS LAST, "id" ASC NULLS LAST'),
        ('"we""ird $1" , "user"desc', '"we""ird $1" ASC NULLS LAST, "user" DESC NULLS FIRST'),
        ("e, tags", '"e" ASC NULLS LAST, "tags" ASC NULLS LAST'),
    ],
)
def test_an_ordering_is_printed_with_everything_said(text: str, printed: str) -> None:
    assert print_order_by(parse_order_by(text, COLUMNS)) == printed


def test_P_10_anything_else_is_refused_with_its_whole_message() -> None:
    assert told_otherwise(Path(__file__).with_name("order_refusals.jsonl"), refusal) == []


def test_I_03_a_hidden_column_and_a_missing_one_give_the_same_answer() -> None:
    assert refusal(Refusal("n, hidden", "")).replace("hidden", "absent") == refusal(Refusal("n, absent", ""))


def test_I_08_length_and_number_of_columns_are_bounded() -> None:
    assert len(parse_order_by(",".join(["n"] * 32), COLUMNS)) == 32
    assert refusal(Refusal(",".join(["n"] * 33), "")) == "at position 63: ',': expected at most 32 columns"
    assert "at most 8000" in refusal(Refusal("n" * 8_001, ""))


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=32))
def test_what_is_printed_is_read_again(items: list[OrderItem]) -> None:
    assert parse_order_by(print_order_by(items), COLUMNS) == tuple(items)


@settings(max_examples=100, deadline=None)
@given(NOISE)
def test_nothing_but_a_refusal_escapes(asked: Written) -> None:
    try:
        items = parse_order_by(asked.text, COLUMNS)
    except FilterRefused:
        return
    assert all(item.column in COLUMNS for item in items)
