"""Subsets printed anew: over the policy's columns, within the table's bound, from trees only."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_proxy.errors import FilterNotAccepted, SubsetTooLarge
from shapegate_proxy.subset import confine_subset
from shapegate_wire.errors import MalformedRequest
from shapegate_wire.request import parse_request
from shapegate_wire.subset import SubsetRequest
from tests.wire.filter.hostile import MUTATED
from tests.wire.filter.table import COLUMNS as EVERY_TYPE

if TYPE_CHECKING:
    from tests.wire.filter.legal import Written

COLUMNS = {
    "id": "uuid",
    "name": "text",
    "rank": "int4",
    "done": "bool",
    "at": "timestamptz",
    "meta": "jsonb",
}
ID = "11111111-1111-4111-8111-111111111111"


def printed(asked: SubsetRequest, *, rows_max: int | None = None) -> SubsetRequest:
    return confine_subset(asked, COLUMNS, rows_max=rows_max).printed


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            SubsetRequest(where="name = 'x' or rank > $1", params=("5",)),
            SubsetRequest(where='(("name" = $1) OR ("rank" > $2))', params=("x", "5")),
        ),
        (
            SubsetRequest(order_by="rank desc, NAME", limit=5, offset=10),
            SubsetRequest(order_by='"rank" DESC NULLS FIRST, "name" ASC NULLS LAST', limit=5, offset=10),
        ),
        (SubsetRequest(where="null"), SubsetRequest(where="false")),
        (SubsetRequest(where="not null"), SubsetRequest(where="(NOT NULL)")),
    ],
)
def test_P_10_a_subset_is_printed_from_its_trees_with_parameters_from_1(
    asked: SubsetRequest, expected: SubsetRequest
) -> None:
    assert printed(asked) == expected


@pytest.mark.parametrize(
    "asked",
    [
        SubsetRequest(where="true = true"),
        SubsetRequest(where='("name" = $1) AND ("rank" >= $2)', params=("x", "5")),
        SubsetRequest(where='"id" = ANY($1)', params=(f'{{"{ID}"}}',)),
        SubsetRequest(where='NOT ("done" = $1)', params=("true",)),
        SubsetRequest(where='"at" > $1', params=("2026-01-01T00:00:00.000Z",)),
        SubsetRequest(where='(LOWER("name") LIKE $1) OR ("at" IS NULL)', params=("x%",)),
        SubsetRequest(where='COALESCE("name",$1) = $2', params=("", "y")),
        SubsetRequest(where="true = true", order_by='"at" DESC NULLS FIRST,"id" NULLS FIRST', limit=10),
        SubsetRequest(where="true = true", order_by='"name", "rank" DESC NULLS LAST', limit=1, offset=0),
    ],
)
def test_P_51_what_the_typescript_client_and_tanstack_db_compile_is_accepted(asked: SubsetRequest) -> None:
    assert printed(asked).limit == asked.limit


SENT = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "wire/typescript_subsets.jsonl").read_text("utf-8").splitlines()
]
"""Subsets that published clients sent to a gate: both methods, filters and orders of every kind they know."""
CONTROLS = {
    "current_quadrant": "text",
    "name": "text",
    "description": "text",
    "provider_distance": "numeric",
}


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: f"{sent['method']} by {sent['client']}")
def test_P_51_what_published_clients_sent_is_read_and_accepted(sent: dict[str, str]) -> None:
    query = parse_qsl(sent["target"].removeprefix("?"), keep_blank_values=True)
    body = sent["body"].encode() if sent["method"] == "POST" else None
    asked = parse_request(query, body).subset
    assert asked is not None
    again = confine_subset(asked, CONTROLS, rows_max=None).printed
    assert (again.limit, again.offset) == (asked.limit, asked.offset)
    assert (again.order_by is None) is (asked.order_by is None)
    assert again.where is not None


@pytest.mark.parametrize(
    "asked",
    [
        SubsetRequest(where="hidden = 'x'"),
        SubsetRequest(where="lower(hidden) = 'x'"),
        SubsetRequest(where="name = hidden"),
        SubsetRequest(where="hidden is null"),
        SubsetRequest(order_by="hidden"),
        SubsetRequest(order_by="name, hidden desc"),
    ],
)
def test_I_03_I_05_a_hidden_column_and_a_missing_one_give_the_same_answer(asked: SubsetRequest) -> None:
    def refusal(name: str) -> str:
        texts = [
            None if text is None else text.replace("hidden", name) for text in (asked.where, asked.order_by)
        ]
        with pytest.raises(FilterNotAccepted) as caught:
            printed(SubsetRequest(where=texts[0], order_by=texts[1]))
        return str(caught.value).replace(name, "?")

    assert refusal("organization_id") == refusal("absent_as_can_be")


@pytest.mark.parametrize(
    "asked",
    [
        SubsetRequest(where="true) OR (true"),
        SubsetRequest(where="true -- "),
        SubsetRequest(where="id IN (SELECT id FROM items)"),
        SubsetRequest(where="name = $2", params=("x",)),
        SubsetRequest(where="name = 'x'", params=("y",)),
        SubsetRequest(where="name = 'x' LIMIT 5"),
        SubsetRequest(where="rank / 0 = 1"),
        SubsetRequest(where="meta = '{}'"),
        SubsetRequest(order_by="lower(name)"),
        SubsetRequest(order_by="rank + 1"),
        SubsetRequest(order_by="1"),
        SubsetRequest(order_by="$1"),
        SubsetRequest(order_by="name; DROP TABLE items"),
        SubsetRequest(order_by="name LIMIT 5"),
        SubsetRequest(order_by="(SELECT 1)"),
        SubsetRequest(order_by="name USING >"),
        SubsetRequest(order_by='name COLLATE "C"'),
        SubsetRequest(order_by="CASE WHEN done THEN 1 END"),
        SubsetRequest(order_by="meta"),
        SubsetRequest(order_by="id,"),
    ],
)
def test_I_02_what_is_outside_of_the_grammar_is_refused(asked: SubsetRequest) -> None:
    with pytest.raises(FilterNotAccepted):
        printed(asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            SubsetRequest(where="rank = 'x'"),
            "subset where, at position 7: \"'x'\": expected a whole number from -2147483648 to 2147483647; "
            "it is read as int4",
        ),
        (
            SubsetRequest(order_by="name, 1"),
            "subset order_by, at position 6: '1': expected a column; "
            "an ordering holds columns only, each with ASC or DESC",
        ),
    ],
)
def test_a_refusal_says_which_text_it_means(asked: SubsetRequest, told: str) -> None:
    with pytest.raises(FilterNotAccepted) as caught:
        printed(asked)
    assert caught.value.message == told


@pytest.mark.parametrize("limit", [None, 101, 2**31 - 1])
def test_a_bounded_table_is_read_in_pages_and_never_cut_in_silence(limit: int | None) -> None:
    with pytest.raises(
        SubsetTooLarge, match=r"^A subset of this table has at most 100 rows: expected a limit within$"
    ):
        printed(SubsetRequest(order_by="id", limit=limit), rows_max=100)
    assert printed(SubsetRequest(order_by="id", limit=limit)).limit == limit
    assert printed(SubsetRequest(order_by="id", limit=100), rows_max=100).limit == 100


ORDERS = st.lists(
    st.sampled_from(
        ["id", "n", '"user"', "t", ",", ", ", " ", "desc", "NULLS", "FIRST", "last", "(", "$1", "--"]
    ),
    min_size=1,
    max_size=8,
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(written=MUTATED, order=st.none() | ORDERS)
def test_nothing_but_a_refusal_escapes_and_what_is_printed_is_printed_again_the_same(
    written: Written, order: str | None
) -> None:
    try:
        asked = SubsetRequest(where=written.text, params=written.params, order_by=order)
        first = confine_subset(asked, EVERY_TYPE, rows_max=None).printed
    except (FilterNotAccepted, MalformedRequest):
        return
    assert confine_subset(first, EVERY_TYPE, rows_max=None).printed == first


WORST = [
    "(" * 4_000 + "true" + ")" * 3_996,
    "not " * 2_000,
    "name = " + "'" * 7_993,
    "name like '" + "%_" * 3_900 + "'",
    "rank = 1 or " * 666 + "true",
    "rank in (" + "1," * 3_990 + "1)",
    '"' * 8_000,
    "\\" * 8_000,
    "$" * 8_000,
    ("name," * 1_600)[:-1],
    "name" + " nulls first" * 666,
]


@pytest.mark.parametrize("text", WORST, ids=lambda text: text[:12])
@pytest.mark.parametrize("field", ["where", "order_by"])
def test_I_08_the_worst_texts_are_answered_within_50_ms_of_computing(field: str, text: str) -> None:
    assert len(text) <= 8_000

    def seconds() -> float:
        started = time.process_time()
        with contextlib.suppress(FilterNotAccepted):
            printed(SubsetRequest(**{field: text}))  # type: ignore[arg-type]  # one of the texts
        return time.process_time() - started

    assert min(seconds() for _ in range(3)) < 0.05
