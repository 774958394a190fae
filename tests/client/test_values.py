"""Postgres text to SQLite values."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shapegate_client.values import column_decoder, decoder, storage_class
from shapegate_wire.columns import Column
from shapegate_wire.errors import MalformedResponse
from tests.client.snapshots import ODD_VALUES


@pytest.mark.parametrize(
    ("type_name", "text", "value", "storage"),
    [
        ("bool", "t", 1, "INTEGER"),
        ("bool", "true", 1, "INTEGER"),
        ("bool", "f", 0, "INTEGER"),
        ("bool", "false", 0, "INTEGER"),
        ("int2", "-32768", -32768, "INTEGER"),
        ("int8", "9007199254740993", 9007199254740993, "INTEGER"),
        ("int8", "-9223372036854775808", -(2**63), "INTEGER"),
        ("numeric", "12345678901234567890.123456789", "12345678901234567890.123456789", "TEXT"),
        ("float8", "1.5e300", 1.5e300, "REAL"),
        ("float4", "NaN", "NaN", "REAL"),
        ("float8", "-Infinity", "-Infinity", "REAL"),
        ("bytea", "\\x00ff", b"\x00\xff", "BLOB"),
        ("jsonb", '{"a": 1}', '{"a": 1}', "TEXT"),
        ("tsvector", "'a':1", "'a':1", "TEXT"),
        ("timestamptz", "2026-01-02 03:04:05+00", "2026-01-02 03:04:05+00", "TEXT"),
    ],
)
def test_C_25_C_27_C_28_values_become_what_sqlite_keeps_exactly(
    type_name: str, text: str, value: object, storage: str
) -> None:
    column = Column(name="c", type=type_name)
    assert decoder(column)(text) == value
    assert storage_class(column) == storage


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int8", "{9007199254740993,NULL}", [9007199254740993, None]),
        ("bool", "{t,f}", [True, False]),
        ("float8", "{1.5,NaN}", [1.5, "NaN"]),
        ("numeric", "{1.10}", ["1.10"]),
        ("jsonb", '{"{\\"a\\": [1]}"}', [{"a": [1]}]),
        ("text", "{a,NULL}", ["a", None]),
    ],
)
def test_C_29_arrays_become_json_by_their_element_type(type_name: str, text: str, value: object) -> None:
    column = Column(name="c", type=type_name, dims=1, not_null=True)
    decoded = decoder(column)(text)
    assert isinstance(decoded, str)
    assert json.loads(decoded) == value
    assert storage_class(column) == "TEXT"


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("bool", "yes"),
        ("int4", "1.5"),
        ("int4", "null"),
        ("int8", "9223372036854775808"),
        ("int4", "1_0"),
        ("float8", "x"),
        ("bytea", "abc"),
        ("bytea", "\\xzz"),
        ("int4", "٣"),
    ],
)
def test_text_that_postgres_would_not_print_is_refused(type_name: str, text: str) -> None:
    with pytest.raises(MalformedResponse):
        decoder(Column(name="c", type=type_name))(text)


ODD_TEXTS = [text for text in ODD_VALUES if text is None or isinstance(text, str)]
TEXTS = (
    st.sampled_from(ODD_TEXTS) | st.integers(-(2**65), 2**65).map(str) | st.text("0123456789-,", max_size=4)
)


@given(st.sampled_from(["int8", "bool", "float8", "bytea", "text"]), st.lists(TEXTS, max_size=6))
@example("int8", ["1,2", ""])
@example("int8", ["1", "2,3", None])
@example("int8", [",", ""])
@example("int8", [None, None])
@example("int8", ["null"])
def test_C_25_a_column_is_read_as_its_values_are_or_refused(type_name: str, texts: list[str | None]) -> None:
    column = Column(name="c", type=type_name)
    decode_column = column_decoder(column) or list
    try:
        read = list(decode_column(texts))
    except (MalformedResponse, ValueError):
        return
    decode = decoder(column)
    assert read == [None if text is None else decode(text) for text in texts]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_C_25_what_postgres_prints_of_integers_is_read_column_by_column(numbers: list[int | None]) -> None:
    decode_column = column_decoder(Column(name="c", type="int8"))
    assert decode_column is not None
    assert decode_column([None if each is None else str(each) for each in numbers]) == numbers
