"""What a filter means: a closed, typed tree of conditions.

`BETWEEN` is two comparisons, `IN` is `= ANY`, NULL is folded away wherever SQL's three-valued logic says what
comes of it, so that every condition has one spelling only. Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapegate_wire.filter.kinds import ColumnType


class Comparator(enum.Enum):
    """How two values are compared."""

    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class ArrayComparator(enum.Enum):
    """How two arrays are compared as sets."""

    CONTAINS = "@>"
    CONTAINED = "<@"
    OVERLAPS = "&&"


class Quantifier(enum.Enum):
    """How many elements of an array have to compare."""

    ANY = "ANY"
    ALL = "ALL"


class Truth(enum.Enum):
    """A condition without a column."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "NULL"


class TruthTest(enum.Enum):
    """What a condition is tested to be."""

    TRUE = "TRUE"
    FALSE = "FALSE"
    UNKNOWN = "UNKNOWN"


class Function(enum.Enum):
    """What may be done to a column before it is compared."""

    LOWER = "lower"
    UPPER = "upper"
    AS_TEXT = "::text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table's list."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Applied:
    """A function of a column; its value is text."""

    function: Function
    column: Column


@dataclass(frozen=True, slots=True)
class Coalesced:
    """A text column, or a text where it is NULL."""

    column: Column
    fallback: Constant


@dataclass(frozen=True, slots=True)
class Constant:
    """A value, as the canonical Postgres text of the other side's type; never NULL."""

    text: str


@dataclass(frozen=True, slots=True)
class ConstantArray:
    """Values of one type; none of them is NULL."""

    items: tuple[str, ...]


Operand = Column | Applied | Coalesced


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean column standing for itself."""

    column: Column


@dataclass(frozen=True, slots=True)
class Both:
    """Conditions joined by AND; at least two, none of them a Both."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Conditions joined by OR; at least two, none of them an Either."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    item: Condition


@dataclass(frozen=True, slots=True)
class Tested:
    """A condition `IS [NOT] TRUE | FALSE | UNKNOWN`."""

    item: Condition
    test: TruthTest
    negated: bool


@dataclass(frozen=True, slots=True)
class NullTested:
    """An operand `IS [NOT] NULL`."""

    operand: Operand
    negated: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """An operand compared with a value or with another operand of its type."""

    left: Operand
    comparator: Comparator
    right: Operand | Constant | ConstantArray


@dataclass(frozen=True, slots=True)
class Distinct:
    """An operand `IS [NOT] DISTINCT FROM` a value or another operand."""

    left: Operand
    right: Operand | Constant | ConstantArray
    negated: bool


@dataclass(frozen=True, slots=True)
class Quantified:
    """An operand compared with a list, or a value compared with the elements of an array column."""

    left: Operand | Constant
    comparator: Comparator
    quantifier: Quantifier
    right: ConstantArray | Column


@dataclass(frozen=True, slots=True)
class ArrayCompared:
    """An array column compared with an array as sets."""

    left: Column
    comparator: ArrayComparator
    right: ConstantArray | Column


@dataclass(frozen=True, slots=True)
class Like:
    """A text operand matched with a constant pattern."""

    operand: Operand
    pattern: Constant
    ignoring_case: bool
    negated: bool


Condition = (
    Truth
    | Flag
    | Both
    | Either
    | Not
    | Tested
    | NullTested
    | Compared
    | Distinct
    | Quantified
    | ArrayCompared
    | Like
)


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter; made by `parse_filter` only."""

    condition: Condition
