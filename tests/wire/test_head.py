"""The head of an answer: what must be there, and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from shapegate_wire.columns import Column
from shapegate_wire.errors import MalformedResponse, MissingHeaders, WireError
from shapegate_wire.head import parse_head
from shapegate_wire.offset import SNAPSHOT_END, Offset

CATCH_UP = {
    "electric-handle": "3833821-1721812114261123",
    "electric-offset": "0_inf",
    "electric-schema": '{"id":{"type":"uuid","pk_index":0}}',
}
LIVE = {
    "electric-handle": "3833821-1721812114261123",
    "electric-offset": "26980744_4",
    "electric-cursor": "67281940",
}


def test_C_02_the_head_of_a_catch_up_answer_is_read() -> None:
    head = parse_head(CATCH_UP, live=False)
    assert (head.handle, head.offset) == ("3833821-1721812114261123", SNAPSHOT_END)
    assert head.schema == (Column(name="id", type="uuid", pk_index=0),)
    assert (head.cursor, head.up_to_date, head.has_data) == (None, False, True)


def test_C_30_the_head_of_a_live_answer_needs_no_schema() -> None:
    head = parse_head(LIVE, live=True)
    assert (head.offset, head.cursor, head.schema) == (Offset(26980744, 4), "67281940", None)


def test_P_32_an_empty_up_to_date_header_counts() -> None:
    assert parse_head({**CATCH_UP, "electric-up-to-date": ""}, live=False).up_to_date


@pytest.mark.parametrize(("value", "has_data"), [("true", True), ("false", False), ("", True), ("0", True)])
def test_C_07_only_false_says_that_there_is_no_data(value: str, has_data: bool) -> None:
    assert parse_head({**LIVE, "electric-has-data": value}, live=True).has_data is has_data


@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
@pytest.mark.parametrize(
    ("headers", "live", "name"),
    [
        (CATCH_UP, False, "electric-handle"),
        (CATCH_UP, False, "electric-offset"),
        (CATCH_UP, False, "electric-schema"),
        (LIVE, True, "electric-handle"),
        (LIVE, True, "electric-offset"),
        (LIVE, True, "electric-cursor"),
    ],
)
def test_C_08_a_missing_header_is_named(headers: dict[str, str], live: bool, name: str, empty: bool) -> None:
    without = {**headers, name: ""} if empty else {key: headers[key] for key in headers if key != name}
    with pytest.raises(MissingHeaders, match=name) as caught:
        parse_head(without, live=live)
    assert caught.value.names == (name,)


def test_C_08_all_missing_headers_are_named_at_once() -> None:
    with pytest.raises(MissingHeaders) as caught:
        parse_head({}, live=False)
    assert caught.value.names == ("electric-handle", "electric-offset", "electric-schema")


@pytest.mark.parametrize(
    "changed",
    [
        {"electric-offset": "now"},
        {"electric-offset": "nonsense"},
        {"electric-offset": "1"},
        {"electric-schema": "<html>"},
        {"electric-schema": "{}"},
        {"electric-schema": "[" * 100_000},
    ],
    ids=lambda changed: str(changed)[:60],
)
def test_a_header_that_does_not_parse_is_malformed(changed: dict[str, str]) -> None:
    with pytest.raises(MalformedResponse):
        parse_head({**CATCH_UP, **changed}, live=False)


def test_names_are_found_without_regard_to_case() -> None:
    headers = CIMultiDict((name.title(), value) for name, value in CATCH_UP.items())
    assert parse_head(headers, live=False) == parse_head(CATCH_UP, live=False)


@settings(max_examples=100, deadline=None)
@given(
    changed=st.dictionaries(
        st.sampled_from([*CATCH_UP, *LIVE, "electric-up-to-date", "electric-has-data"]), st.text()
    ),
    live=st.booleans(),
)
def test_nothing_but_a_wire_error_escapes(changed: dict[str, str], live: bool) -> None:
    try:
        parse_head({**CATCH_UP, **LIVE, **changed}, live=live)
    except WireError:
        return
