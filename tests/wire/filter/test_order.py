"""The ordering of a subset: columns, a direction each, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.filter import FilterRefused, OrderItem, parse_order_by, print_order_by
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


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ",",
            "n,",
            ",n",
            "n n",
            "1",
            "-n",
            "n + 1",
            "lower(t)",
            "(n)",
            "n::text",
            "$1",
            "'n'",
            "hidden",
            '"N"',
        ),
        *(
            "n using <",
            'n collate "C"',
            "n nulls",
            "n nulls asc",
            "nulls first",
            "n asc desc",
            "n;",
            "n --",
            "n /**/",
            "user",
        ),
        *(
            "n limit 1",
            "n, (select 1)",
            "case when b then n end",
            "t.n",
            "things.n",
            "*",
            "random()",
            "j",
            "ch",
            "n\x00",
        ),
        *("n and b", "true", "null", "desc", "n = 1", ",".join(["n"] * 33), "n" * 8_001),
    ],
)
def test_P_10_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FilterRefused):
        parse_order_by(text, COLUMNS)


def test_I_03_a_hidden_column_and_a_missing_one_give_the_same_answer() -> None:
    with pytest.raises(FilterRefused) as caught:
        parse_order_by("n, hidden", COLUMNS)
    assert "a column of the table's list" in str(caught.value)


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
