"""The ordering of a subset: a list of columns, nothing else (SECURITY; electric#4081).

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_wire.filter.cursor import Cursor, find_column
from shapegate_wire.filter.kinds import Kind as TypeKind
from shapegate_wire.filter.kinds import column_type
from shapegate_wire.filter.lexer import Kind
from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.filter.tree import Column
from shapegate_wire.filter.words import NOT_A_COLUMN
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ITEMS_MAX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderItem:
    """One column of an ordering."""

    column: str
    descending: bool
    nulls_first: bool


def parse_order_by(text: str, columns: Mapping[str, str]) -> tuple[OrderItem, ...]:
    """Parse an ordering over columns that are named with their Postgres types. Raises FilterRefused."""
    cursor = Cursor(text)
    typed = {name: Column(name, column_type(type_)) for name, type_ in columns.items()}
    items = [_item(cursor, typed)]
    while comma := cursor.take_mark(","):
        if len(items) == ITEMS_MAX:
            raise FilterRefused(comma.start, comma.written, f"at most {ITEMS_MAX} columns")
        items.append(_item(cursor, typed))
    cursor.expect_end("a comma, ASC, DESC, NULLS FIRST, NULLS LAST or the end")
    return tuple(items)


def print_order_by(items: Sequence[OrderItem]) -> str:
    """Print an ordering with everything said: `"id" DESC NULLS FIRST, "name" ASC NULLS LAST`."""
    return ", ".join(_printed(item) for item in items)


def _printed(item: OrderItem) -> str:
    direction = "DESC" if item.descending else "ASC"
    return f"{quote(item.column)} {direction} NULLS {'FIRST' if item.nulls_first else 'LAST'}"


def _item(cursor: Cursor, columns: Mapping[str, Column]) -> OrderItem:
    token = cursor.token
    is_plain = token.kind is Kind.WORD and token.text not in NOT_A_COLUMN
    if not is_plain and token.kind is not Kind.QUOTED:
        raise cursor.unexpected("a column", "an ordering holds columns only, each with ASC or DESC")
    column = find_column(columns, cursor.take())
    if column.type.kind is TypeKind.UNREAD:
        raise FilterRefused(token.start, token.written, "a column whose type can be ordered")
    direction = cursor.take_word("asc", "desc")
    descending = direction is not None and direction.text == "desc"
    # To Postgres NULL is larger than every value.
    nulls_first = descending
    if cursor.take_word("nulls"):
        nulls_first = cursor.expect_word("first", "last").text == "first"
    return OrderItem(column=column.name, descending=descending, nulls_first=nulls_first)
