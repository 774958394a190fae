"""Which columns may be compared, and how: types that neither Postgres nor Electric can raise on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_wire.filter.kinds import ColumnType, Kind
from shapegate_wire.filter.terms import Placed
from shapegate_wire.filter.tree import Comparator

if TYPE_CHECKING:
    from shapegate_wire.filter.terms import Term

TEXT: Final = ColumnType(Kind.TEXT)
_EQUALITY: Final = (Comparator.EQUAL, Comparator.UNEQUAL)


def column_side(term: Term) -> Placed:
    """Require a column or a function of one. Raises FilterRefused."""
    if isinstance(term, Placed):
        return term
    raise term.refused("a column of the table on one side", "two constants are not compared")


def value_type(placed: Placed) -> ColumnType:
    """Say the type of an operand's value."""
    return placed.type or TEXT


def type_for(placed: Placed, comparator: Comparator) -> ColumnType:
    """Say the type of an operand that is compared in this way. Raises FilterRefused."""
    type_ = value_type(placed)
    check_comparator(placed, type_, comparator)
    return type_


def scalar_type(placed: Placed, comparator: Comparator) -> ColumnType:
    """Say the same of an operand that is compared with a list. Raises FilterRefused."""
    type_ = type_for(placed, comparator)
    if type_.is_array:
        raise placed.refused("a column that is no array", "a list has elements of the column's type")
    return type_


def check_comparator(placed: Placed, type_: ColumnType, comparator: Comparator) -> None:
    """Refuse a comparison that the type does not have. Raises FilterRefused."""
    if not type_.is_compared:
        advice = "compare an enum as column::text" if type_.kind is Kind.ENUM and not type_.is_array else ""
        raise placed.refused("a column whose type can be compared", advice or "test it with IS [NOT] NULL")
    if comparator not in _EQUALITY and not type_.is_ordered:
        raise placed.refused(f"a column whose type has {comparator.value}", f"{type_} has = and <> only")
