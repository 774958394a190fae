from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.body import Body, Malformed, parse_body
from shapegate_harness.electric.errors import Rejected


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"", Body()),
        (b" \n", Body()),
        (b"{}", Body()),
        (b'{"table": "t", "secret": "s", "columns": "a"}', Body()),
        (b'{"where": "a", "limit": 1}', Body(subset={"where": "a", "limit": 1})),
        (b'{"subset": {}}', Body(subset={})),
        (b'{"subset": {"where": "a"}}', Body(subset={"where": "a"})),
        (b'{"where": "b", "subset": {"where": "a"}}', Body(subset={"where": "a"})),
        (b'{"subset": null}', Body()),
        (b'{"offset": "-1", "where": "id = 1"}', Body(subset={"offset": "-1", "where": "id = 1"})),
        (b'{"live": true}', Body(live=True)),
        (b'{"live": false}', Body(live=True)),
        (b'{"live": "false"}', Body(live=False)),
    ],
)
def test_a_body_holds_a_subset_and_nothing_of_the_shape(raw: bytes, body: Body) -> None:
    assert parse_body(raw) == body


@pytest.mark.parametrize(
    ("raw", "details"),
    [
        (b"{bad", 'unexpected byte at position 1: 0x62 ("b")'),
        (b"{", "unexpected end of input at position 1"),
        (b'{"where": "\xff"}', "unexpected byte at position 11: 0xFF"),
        ('{"ä": x}'.encode(), 'unexpected byte at position 7: 0x78 ("x")'),
        (b'{"limit": NaN}', "NaN is no JSON value"),
        (b"[" * 200, "is nested deeper than 100 levels"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(raw: bytes, details: str) -> None:
    assert parse_body(raw) == Malformed(problem={"error": "Invalid JSON in request body", "details": details})


@pytest.mark.parametrize("raw", [b"[1]", b"1", b'"x"', b"null"])
def test_a_body_must_be_an_object(raw: bytes) -> None:
    assert parse_body(raw) == Malformed(problem={"error": "Request body must be a JSON object"})


@pytest.mark.parametrize("raw", [b'{"subset": 1}', b'{"subset": []}', b'{"subset": "x"}'])
def test_a_nested_subset_must_be_an_object(raw: bytes) -> None:
    with pytest.raises(Rejected, match="subset: is invalid"):
        parse_body(raw)


def test_many_brackets_inside_of_a_text_are_no_nesting_if_they_close() -> None:
    where = "a = '" + "()[]" * 500 + "'"
    assert parse_body(json.dumps({"where": where}).encode()) == Body(subset={"where": where})


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_told(raw: bytes) -> None:
    with suppress(Rejected):
        assert isinstance(parse_body(raw), Body | Malformed)
