from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.errors import Rejected, RejectedSubset
from shapegate_harness.electric.query import decode_query
from shapegate_harness.electric.subset import Subset, collect, parse_subset


def problems(fields: dict[str, object]) -> dict[str, object]:
    with pytest.raises(RejectedSubset) as caught:
        parse_subset(fields)
    return {name: list(texts) for name, texts in caught.value.problems.items()}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("table=t&where=a", None),
        ("subset=", None),
        ("subset__where=a", {"where": "a"}),
        ("subset__where=", {"where": ""}),
        ("subset[where]=a&subset[limit]=2", {"where": "a", "limit": "2"}),
        ("subset__params[1]=x&subset__params[2]=y", {"params": {"1": "x", "2": "y"}}),
        ("subset[params][1]=x", {"params": {"1": "x"}}),
        ('subset__params={"1":"x"}', {"params": '{"1":"x"}'}),
        ("subset__where=a&subset[where]=b", {"where": "b"}),
        ("subset__where_expr={}", {"where_expr": "{}"}),
    ],
)
def test_p_05_flat_and_bracket_names_mean_the_same(query: str, fields: dict[str, object] | None) -> None:
    assert collect(decode_query(query)) == fields


def test_a_subset_that_is_a_text_is_refused() -> None:
    with pytest.raises(Rejected, match="is invalid"):
        collect({"subset": "x"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"where": " ", "limit": "", "offset": None, "order_by": "", "params": " "},
        {"where_expr": {"a": 1}, "order_by_expr": []},
    ],
)
def test_blank_and_unknown_fields_do_not_count(fields: dict[str, object]) -> None:
    assert parse_subset(fields) == Subset()


@pytest.mark.parametrize(
    ("limit", "offset"), [("2", "0"), (2, 0), (2, None), (None, 7), ("+2", "9" * 18), ((1 << 63) - 1, "")]
)
def test_limits_are_numbers_or_their_text(limit: object, offset: object) -> None:
    parsed = parse_subset({"order_by": "id", "limit": limit, "offset": offset})
    assert parsed.limit == (None if limit is None else int(str(limit)))
    assert parsed.offset == (None if offset in (None, "") else int(str(offset)))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"1": "x", "2": "y"}, ("x", "y")),
        ({"2": "y", "1": "x"}, ("x", "y")),
        ('{"1": 5, "2": true, "3": null}', ("5", "true", "")),
        ({"1": ""}, ("",)),
        ({}, ()),
    ],
)
def test_params_are_an_object_or_its_text(params: object, expected: tuple[str, ...]) -> None:
    assert parse_subset({"params": params}).params == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"limit": 2}, {"order_by": ["order_by is required when limit or offset is present"]}),
        ({"offset": "1"}, {"order_by": ["order_by is required when limit or offset is present"]}),
        ({"order_by": "id", "limit": 0}, {"limit": ["must be greater than 0"]}),
        ({"order_by": "id", "limit": "-1"}, {"limit": ["must be greater than 0"]}),
        ({"order_by": "id", "limit": "x"}, {"limit": ["is invalid"]}),
        ({"order_by": "id", "limit": "1.5"}, {"limit": ["is invalid"]}),
        ({"order_by": "id", "limit": True}, {"limit": ["is invalid"]}),
        ({"order_by": "id", "limit": 1 << 63}, {"limit": ["is invalid"]}),
        ({"order_by": "id", "limit": "9" * 19}, {"limit": ["is invalid"]}),
        ({"order_by": "id", "offset": -1}, {"offset": ["must be greater than or equal to 0"]}),
        ({"where": 5, "order_by": ["id"]}, {"where": ["is invalid"], "order_by": ["is invalid"]}),
        ({"params": "{"}, {"params": ["params must be valid JSON"]}),
        ({"params": "[1]"}, {"params": ["params must be a JSON object"]}),
        ({"params": [1]}, {"params": ["is invalid"]}),
        ({"params": {"1": {}}}, {"params": ["is invalid"]}),
        ({"params": {"a": "x"}}, {"params": ["Parameters can only use numbers as keys"]}),
        (
            {"params": {"2": "x"}},
            {"params": ["Parameters must be numbered sequentially, starting from 1"]},
        ),
        ({"where": "id ="}, {"where": ["At location 19: syntax error at end of input"]}),
        ({"where": "id IN (SELECT id FROM u)"}, {"where": ["Subqueries are not allowed in subsets"]}),
        (
            {"order_by": "nope()"},
            {"order_by": ["At location 18: FuncCall expressions are not allowed in ORDER BY clauses"]},
        ),
    ],
)
def test_faults_are_named_as_electric_names_them(fields: dict[str, object], expected: object) -> None:
    assert problems(fields) == expected


@given(
    st.dictionaries(
        st.sampled_from(["where", "params", "limit", "offset", "order_by"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
@settings(max_examples=100, deadline=None)
def test_nothing_but_a_refusal_escapes(fields: dict[str, object]) -> None:
    with suppress(RejectedSubset):
        parsed = parse_subset(fields)
        assert parsed.limit is None or parsed.limit > 0
        assert parsed.offset is None or parsed.offset >= 0
        assert (parsed.limit is None and parsed.offset is None) or parsed.order_by
