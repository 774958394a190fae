"""The client's filter and ordering: a closed grammar, parsed, checked and printed from the tree.

`policy AND (client filter)` is no barrier by itself: the database may evaluate either side first, so an
expression that can raise is an oracle about other rows. The grammar holds only what cannot raise (SECURITY:
the client filter; I-02, I-03, I-06 to I-08). Not a byte of a client's text is forwarded. Pure: no I/O, no
clock.

What is decided here, where SECURITY or Electric leave a choice:

- Constants are read as the column's type and printed canonically, so equal filters are one shape: numbers
  without exponent, instants in UTC, lists sorted and without repeats.
- numeric and float: Electric compares doubles, Postgres does not. Constants of more significant digits than
  a double tells apart (15, for float8 17) are refused; a row of more digits can still be judged in two ways,
  and so can text by `<` (bytes or collation), by ILIKE, lower and upper beyond ASCII. A client may then see
  a row of its own scope late or not at all; the scope itself is not touched.
- Two constants are not compared, but `true = true` is folded: TanStack DB sends it where it has no filter.
- NULL in a list is folded into SQL's own answer; in other arrays it is refused. Text of a bare `ARRAY['...']`
  takes the column's type.
- Columns of types that are not compared alike (char(n), jsonb, bytea, interval, ...) are tested for NULL
  only; those of unknown types, which enums are, are compared as `column::text`.
"""

from __future__ import annotations

from shapegate_wire.filter.cost import FilterTooCostly, check_cost
from shapegate_wire.filter.order import OrderItem, parse_order_by, print_order_by
from shapegate_wire.filter.parser import parse_filter
from shapegate_wire.filter.printer import PrintedFilter, print_filter
from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.filter.tree import Filter

__all__ = [
    "Filter",
    "FilterRefused",
    "FilterTooCostly",
    "OrderItem",
    "PrintedFilter",
    "check_cost",
    "parse_filter",
    "parse_order_by",
    "print_filter",
    "print_order_by",
]
