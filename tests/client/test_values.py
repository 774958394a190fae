"""Postgres text to SQLite values."""

from __future__ import annotations

import json

import pytest

from shapegate_client.values import decoder, storage_class
from shapegate_wire.columns import Column
from shapegate_wire.errors import MalformedResponse


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
