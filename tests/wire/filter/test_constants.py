"""Constants read as a column's type: the last line of defence behind what the parser has checked."""

from __future__ import annotations

import pytest

from shapegate_wire.filter import FilterRefused, parse_filter, print_filter
from shapegate_wire.filter.constants import read_constant
from shapegate_wire.filter.kinds import ColumnType, Kind
from shapegate_wire.filter.terms import Literal, Spelling


def literal(spelling: Spelling, text: str, cast: Kind | None = None) -> Literal:
    return Literal(
        spelling=spelling, text=text, start=7, written=text, cast=None if cast is None else ColumnType(cast)
    )


@pytest.mark.parametrize("kind", [Kind.ENUM, Kind.UNREAD])
def test_I_06_no_constant_is_read_as_a_type_that_is_not_compared(kind: Kind) -> None:
    with pytest.raises(FilterRefused) as caught:
        read_constant(literal(Spelling.TEXT, "x"), kind)
    assert str(caught.value) == (
        "at position 7: 'x': expected no constant: such a column can be tested for NULL only; "
        f"it is read as {kind.value}"
    )


@pytest.mark.parametrize("spelling", [Spelling.ARRAY, Spelling.NULL, Spelling.PARAM])
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.BOOL, Kind.INT4])
def test_I_06_what_is_no_single_value_is_not_read_as_one(spelling: Spelling, kind: Kind) -> None:
    with pytest.raises(FilterRefused) as caught:
        read_constant(literal(spelling, "1"), kind)
    assert caught.value.expected == f"a constant of type {kind.value}"


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("true = any (bs)", '($1 = ANY ("bs"))'),
        ("'f' <> all (bs)", '($1 <> ALL ("bs"))'),
        ("bs = '{t,f}'", '("bs" = $1)'),
    ],
)
def test_elements_that_are_booleans_have_equality(text: str, sql: str) -> None:
    parsed = parse_filter(text, params=(), columns={"bs": "bool[]"})
    assert print_filter(parsed, first_param=1).sql == sql


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        ("bool[]", "a column whose type has >; bool has = and <> only"),
        ("jsonb[]", "a column whose type can be compared; test it with IS [NOT] NULL"),
    ],
)
def test_I_06_elements_are_compared_as_their_type_is(type_: str, told: str) -> None:
    with pytest.raises(FilterRefused) as caught:
        parse_filter("'t' > any (bs)", params=(), columns={"bs": type_})
    assert str(caught.value) == f"at position 11: 'bs': expected {told}"
