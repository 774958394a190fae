"""Types by every name that a policy file or a client may give them."""

from __future__ import annotations

import pytest

from shapegate_wire.filter.kinds import ColumnType, Kind, cast_kind, column_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uuid", ColumnType(Kind.UUID)),
        ("INTEGER", ColumnType(Kind.INT4)),
        ("character varying(20)", ColumnType(Kind.TEXT)),
        ("numeric(10, 2)", ColumnType(Kind.NUMERIC)),
        ("timestamp(3) with time zone", ColumnType(Kind.TIMESTAMPTZ)),
        ("timestamp", ColumnType(Kind.TIMESTAMP)),
        ("text[]", ColumnType(Kind.TEXT, is_array=True)),
        ("varchar(3)[]", ColumnType(Kind.TEXT, is_array=True)),
        ("mood", ColumnType(Kind.ENUM)),
        ("mood[]", ColumnType(Kind.ENUM, is_array=True)),
        ("jsonb", ColumnType(Kind.UNREAD)),
        ("character(5)", ColumnType(Kind.UNREAD)),
        ("bpchar", ColumnType(Kind.UNREAD)),
        ("citext", ColumnType(Kind.UNREAD)),
        ("interval", ColumnType(Kind.UNREAD)),
        ("", ColumnType(Kind.UNREAD)),
        ("[]", ColumnType(Kind.UNREAD, is_array=True)),
        (" Text \t[] ", ColumnType(Kind.TEXT, is_array=True)),
        ("numeric (10,2) []", ColumnType(Kind.NUMERIC, is_array=True)),
        ("bit varying(3)", ColumnType(Kind.UNREAD)),
        ("time with time zone", ColumnType(Kind.UNREAD)),
        ("public.mood", ColumnType(Kind.ENUM)),
        ("int4[][]", ColumnType(Kind.ENUM, is_array=True)),
    ],
)
def test_a_columns_type_is_read_by_any_of_its_names(name: str, expected: ColumnType) -> None:
    assert column_type(name) == expected


def test_a_type_is_printed_by_its_short_name() -> None:
    assert [str(column_type(name)) for name in ("double precision", "varchar(3)[]")] == ["float8", "text[]"]


@pytest.mark.parametrize(
    ("name", "compared", "ordered"),
    [
        *(("int8", True, True), ("text", True, True), ("uuid", True, True), ("date", True, True)),
        *(("bool", True, False), ("text[]", True, False), ("bool[]", True, False)),
        *(("mood", False, False), ("jsonb", False, False), ("jsonb[]", False, False)),
    ],
)
def test_I_06_what_may_be_compared_and_ordered_depends_on_the_type(
    name: str, compared: bool, ordered: bool
) -> None:
    type_ = column_type(name)
    assert (type_.is_compared, type_.is_ordered) == (compared, ordered)


@pytest.mark.parametrize(
    "name", ["jsonb", "regclass", "mood", "enum", "unread", "name", "char", "bit", "double", ""]
)
def test_I_06_a_constant_is_not_cast_to_a_type_that_is_not_compared(name: str) -> None:
    assert cast_kind(name) is None
