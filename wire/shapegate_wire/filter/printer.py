"""A tree as SQL: fully parenthesised, every identifier quoted, every value a parameter.

No value is cast: Electric and Postgres both type `$n` by its context, and Electric cannot read all of its own
types through a cast. Recursion is bounded by the depth of the tree. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from shapegate_wire.filter import tree
from shapegate_wire.filter.array_text import print_array
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedFilter:
    """A filter ready to be joined to a scope by AND."""

    sql: str
    """One condition that binds tighter than AND: in parentheses, a column, or `true`, `false`, `NULL`."""
    params: tuple[str, ...]
    """Values of the numbers that it uses, in order, as Postgres text."""


def print_filter(filter: tree.Filter, *, first_param: int) -> PrintedFilter:  # noqa: A002  # the word of the domain
    """Print a filter whose parameters are numbered from `first_param`, without a gap, each used once."""
    if first_param < 1:
        raise ValueError(f"first_param is {first_param}: the first parameter is $1")
    printer = _Printer(first_param)
    return PrintedFilter(sql=printer.condition(filter.condition), params=tuple(printer.params))


class _Printer:
    """The parameters printed so far."""

    def __init__(self, first_param: int) -> None:
        self._first = first_param
        self.params: list[str] = []

    def condition(self, item: tree.Condition) -> str:
        match item:
            case tree.Truth():
                return item.value
            case tree.Flag():
                return quote(item.column.name)
            case tree.Both():
                return self._joined(item.items, " AND ")
            case tree.Either():
                return self._joined(item.items, " OR ")
            case tree.Not():
                return f"(NOT {self.condition(item.item)})"
            case tree.Tested():
                return f"({self.condition(item.item)} IS {_not(item.negated)}{item.test.value})"
            case tree.NullTested():
                return f"({self._value(item.operand)} IS {_not(item.negated)}NULL)"
            case tree.Compared():
                return f"({self._value(item.left)} {item.comparator.value} {self._value(item.right)})"
            case tree.Distinct():
                between = f"IS {_not(item.negated)}DISTINCT FROM"
                return f"({self._value(item.left)} {between} {self._value(item.right)})"
            case tree.Quantified():
                between = f"{item.comparator.value} {item.quantifier.value}"
                return f"({self._value(item.left)} {between} ({self._value(item.right)}))"
            case tree.ArrayCompared():
                return f"({self._value(item.left)} {item.comparator.value} {self._value(item.right)})"
            case tree.Like():
                between = _not(item.negated) + ("ILIKE" if item.ignoring_case else "LIKE")
                return f"({self._value(item.operand)} {between} {self._value(item.pattern)})"
            case _:
                assert_never(item)

    def _joined(self, items: Sequence[tree.Condition], word: str) -> str:
        return f"({word.join(self.condition(item) for item in items)})"

    def _value(self, value: tree.Operand | tree.Constant | tree.ConstantArray) -> str:
        match value:
            case tree.Column():
                return quote(value.name)
            case tree.Applied(function=tree.Function.AS_TEXT):
                return f"({quote(value.column.name)}::text)"
            case tree.Applied():
                return f"{value.function.value}({quote(value.column.name)})"
            case tree.Coalesced():
                return f"coalesce({quote(value.column.name)}, {self._value(value.fallback)})"
            case tree.Constant():
                return self._param(value.text)
            case tree.ConstantArray():
                return self._param(print_array(value.items))
            case _:
                assert_never(value)

    def _param(self, text: str) -> str:
        self.params.append(text)
        return f"${self._first + len(self.params) - 1}"


def _not(negated: bool) -> str:
    return "NOT " if negated else ""
