"""The electric-schema header: columns, types, keys."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.columns import Column, parse_schema, primary_key, print_schema
from shapegate_wire.errors import MalformedResponse, WireError

COLUMNS = st.builds(
    Column,
    name=st.text(max_size=10),
    type=st.text(max_size=10),
    dims=st.integers(0, 6),
    pk_index=st.none(),
    not_null=st.booleans(),
)


def test_the_schema_that_electric_sends_is_read() -> None:
    # PROTOCOL 3.9, seen live.
    text = (
        '{"arr":{"type":"int4","dims":1},"ch":{"type":"bpchar","length":5},'
        '"num":{"type":"numeric","precision":12,"scale":3},"id":{"type":"int4","not_null":true,"pk_index":0}}'
    )
    assert parse_schema(text) == (
        Column(name="arr", type="int4", dims=1),
        Column(name="ch", type="bpchar"),
        Column(name="num", type="numeric"),
        Column(name="id", type="int4", pk_index=0, not_null=True),
    )


def test_C_29_array_depth_is_dims_and_not_dimensions() -> None:
    assert parse_schema('{"a":{"type":"int4","dimensions":2}}')[0].dims == 0
    assert parse_schema('{"a":{"type":"int4","dims":2}}')[0].dims == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "1",
        '"x"',
        "{",
        '{"a":1}',
        '{"a":null}',
        '{"a":[]}',
        '{"a":{}}',
        '{"a":{"type":null}}',
        '{"a":{"type":1}}',
        '{"a":{"type":"int4","dims":-1}}',
        '{"a":{"type":"int4","dims":1.0}}',
        '{"a":{"type":"int4","dims":true}}',
        '{"a":{"type":"int4","dims":"1"}}',
        '{"a":{"type":"int4","dims":null}}',
        '{"a":{"type":"int4","pk_index":-1}}',
        '{"a":{"type":"int4","pk_index":false}}',
        '{"a":{"type":"int4","pk_index":"0"}}',
        '{"a":{"type":"int4","dims":' + "9" * 5000 + "}}",
    ],
    ids=lambda text: text[:40],
)
def test_a_header_of_another_form_is_malformed(text: str) -> None:
    with pytest.raises(MalformedResponse):
        parse_schema(text)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '{"a":{"type":' + "[" * 100_000],
    ids=["arrays", "objects", "in a column"],
)
def test_a_deeply_nested_header_is_malformed_and_no_recursion_error(text: str) -> None:
    with pytest.raises(MalformedResponse):
        parse_schema(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":{"type":"int4"},"a":{"type":"text"}}',
        '{"a":{"type":"int4","pk_index":0},"b":{"type":"int4","pk_index":0}}',
    ],
    ids=["a column", "a place in the key"],
)
def test_what_is_given_twice_is_malformed(text: str) -> None:
    with pytest.raises(MalformedResponse):
        parse_schema(text)


def test_the_key_is_in_key_order() -> None:
    schema = parse_schema('{"a":{"type":"x","pk_index":1},"b":{"type":"x"},"c":{"type":"x","pk_index":0}}')
    assert primary_key(schema) == ("c", "a")


def test_a_table_without_key_is_keyed_by_all_columns() -> None:
    assert primary_key(parse_schema('{"b":{"type":"x"},"a":{"type":"x"}}')) == ("b", "a")


def test_null_counts_as_not_null_only_when_it_is_true() -> None:
    assert not parse_schema('{"a":{"type":"x","not_null":"true"}}')[0].not_null


def test_defaults_are_not_printed() -> None:
    assert print_schema((Column(name="a", type="int4"),)) == '{"a":{"type":"int4"}}'


@settings(max_examples=100, deadline=None)
@given(
    plain=st.lists(COLUMNS, min_size=1, max_size=8, unique_by=lambda column: column.name),
    keyed=st.integers(0, 8),
)
def test_what_is_printed_is_read_back_and_fits_a_header(plain: list[Column], keyed: int) -> None:
    schema = tuple(
        Column(
            name=column.name,
            type=column.type,
            dims=column.dims,
            pk_index=index if index < keyed else None,
            not_null=column.not_null,
        )
        for index, column in enumerate(plain)
    )
    printed = print_schema(schema)
    assert printed.isascii()
    assert printed.isprintable()
    assert parse_schema(printed) == schema


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "dims", "pk_index", "not_null", "a"]), inner, max_size=4)
    ),
)


@settings(max_examples=100, deadline=None)
@given(text=st.text() | JSON.map(json.dumps))
def test_nothing_but_a_wire_error_escapes(text: str) -> None:
    try:
        parse_schema(text)
    except WireError:
        return


def test_a_schema_of_many_columns_is_read_in_linear_time() -> None:
    text = json.dumps({f"column_{index}": {"type": "text"} for index in range(50_000)})
    started = time.process_time()
    assert len(parse_schema(text)) == 50_000
    assert time.process_time() - started < 5
