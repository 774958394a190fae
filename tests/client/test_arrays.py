"""Postgres' array literals as JSON."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.arrays import parse_array
from shapegate_wire.errors import MalformedResponse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", []),
        ("{a,b}", ["a", "b"]),
        ('{1,NULL,"NULL",null}', ["1", None, "NULL", "null"]),
        (r'{"a,b","c\"d","e\\f","{g}",""}', ["a,b", 'c"d', "e\\f", "{g}", ""]),
        ("{{1,2},{3,4}}", [["1", "2"], ["3", "4"]]),
        ("[2:3]={1,2}", ["1", "2"]),
        ("[-1:0][2:3]={{1,2},{3,4}}", [["1", "2"], ["3", "4"]]),
        ('{"zwei\nZeilen"}', ["zwei\nZeilen"]),
    ],
)
def test_C_26_arrays_with_quotes_escapes_nesting_and_nulls_are_read(text: str, expected: object) -> None:
    assert json.loads(parse_array(text, json.dumps)) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "{", "{a", "{a,}", "{a}b", '{"a}', "{,a}", "{{{{{{{a}}}}}}}", "{a}{b}"]
)
def test_what_is_no_array_literal_is_refused(text: str) -> None:
    with pytest.raises(MalformedResponse):
        parse_array(text, json.dumps)


def test_boxes_are_separated_by_semicolons() -> None:
    assert json.loads(parse_array("{(1,1),(0,0);(3,3),(2,2)}", json.dumps, delimiter=";")) == [
        "(1,1),(0,0)",
        "(3,3),(2,2)",
    ]


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
@settings(max_examples=100, deadline=None)
def test_what_postgres_would_print_reads_back(items: list[str | None]) -> None:
    printed = [
        "NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for item in items
    ]
    assert json.loads(parse_array("{" + ",".join(printed) + "}", json.dumps)) == items


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_nothing_but_malformed_response_escapes(text: str) -> None:
    with contextlib.suppress(MalformedResponse):
        json.loads(parse_array(text, json.dumps))
