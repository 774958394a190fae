"""A filter's tree as SQL: every name quoted, every literal by its value, every operation in parentheses.

The top is left bare, as Electric leaves it: a subset's filter that is added with AND binds to the last arm of
an OR (PROTOCOL 1.4). Two filters that differ by spacing, case of keywords or superfluous parentheses only are
printed alike. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_harness.electric.tree import (
    AnyAll,
    ArrayOf,
    Between,
    Binary,
    Bounds,
    Call,
    Cast,
    Column,
    Constant,
    Distinct,
    InList,
    IsTest,
    Literal,
    Logic,
    Membership,
    Node,
    Not,
    Param,
    Row,
    Select,
    Subscript,
    Unary,
)
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
_KEYWORD_CALLS: Final = frozenset({"coalesce", "greatest", "least"})


def print_name(name: str) -> str:
    """Print a name as messages do: quoted where it has to be."""
    return name if _PLAIN_NAME.fullmatch(name) else quote(name)


def print_literal(text: str) -> str:
    """Quote a text; sessions have standard_conforming_strings on."""
    return "'" + text.replace("'", "''") + "'"


def print_normal(tree: Node) -> str:
    """Print a filter so that equal ones are equal texts."""
    return print_sql(tree, lambda param: f"${param.number}")


def print_sql(
    tree: Node, param: Callable[[Param], str], *, source: Callable[[Select], str] | None = None
) -> str:
    """Print a filter; `param` prints parameters and `source` what a subquery reads from."""
    return _Printer(param, source or (lambda select: select.table.to_sql())).bare(tree)


class _Printer:
    def __init__(self, param: Callable[[Param], str], source: Callable[[Select], str]) -> None:
        self._param = param
        self._source = source

    def bare(self, node: Node) -> str:
        """Print without parentheses around the whole."""
        match node:
            case Column(path=path):
                return ".".join(map(quote, path))
            case Constant():
                return _constant(node)
            case Param():
                return self._param(node)
            case Unary(operator=operator, operand=operand):
                return f"{operator} {self.wrapped(operand)}"
            case Binary(operator=operator, left=left, right=right):
                return f"{self.wrapped(left)} {operator} {self.wrapped(right)}"
            case Logic(word=word, operands=operands):
                return f" {word.upper()} ".join(map(self.wrapped, operands))
            case Not(operand=operand):
                return f"NOT {self.wrapped(operand)}"
            case IsTest(operand=operand, word=word, negated=negated):
                return f"{self.wrapped(operand)} IS {_not(negated)}{word.upper()}"
            case Distinct(left=left, right=right, negated=negated):
                return f"{self.wrapped(left)} IS {_not(negated)}DISTINCT FROM {self.wrapped(right)}"
            case InList(operand=operand, items=items, negated=negated):
                return f"{self.wrapped(operand)} {_not(negated)}IN ({self._list(items)})"
            case Between():
                return self._between(node)
            case AnyAll(operator=operator, left=left, array=array, word=word):
                return f"{self.wrapped(left)} {operator} {word.upper()} ({self.bare(array)})"
            case Cast(operand=operand, to=to):
                return f"CAST({self.bare(operand)} AS {quote(to.name)}{'[]' if to.array else ''})"
            case Call(name=name, arguments=arguments):
                called = name.upper() if name in _KEYWORD_CALLS else f"pg_catalog.{quote(name)}"
                return f"{called}({self._list(arguments)})"
            case ArrayOf(items=items):
                return f"ARRAY[{self._list(items)}]"
            case Subscript(operand=operand, bounds=bounds):
                return f"({self.bare(operand)}){''.join(map(self._bounds, bounds))}"
            case Row(items=items):
                return f"ROW({self._list(items)})"
            case Membership(left=left, select=select):
                return f"{self.wrapped(left)} IN ({self.select(select)})"
            case _:
                assert_never(node)

    def wrapped(self, node: Node) -> str:
        """Print so that it is one operand, whatever stands beside it."""
        alone = Column | Param | Cast | Call | ArrayOf | Row
        negative = (
            isinstance(node, Constant) and node.text.startswith("-") and node.literal is not Literal.TEXT
        )
        if (isinstance(node, alone | Constant)) and not negative:
            return self.bare(node)
        return f"({self.bare(node)})"

    def select(self, select: Select) -> str:
        """Print a subquery."""
        columns = ", ".join(map(quote, select.columns))
        where = "" if select.where is None else f" WHERE {self.bare(select.where)}"
        return f"SELECT {columns} FROM {self._source(select)}{where}"  # noqa: S608  # quoted names

    def _list(self, nodes: Iterable[Node]) -> str:
        return ", ".join(map(self.bare, nodes))

    def _between(self, node: Between) -> str:
        symmetric = "SYMMETRIC " if node.symmetric else ""
        bounds = f"{self.wrapped(node.low)} AND {self.wrapped(node.high)}"
        return f"{self.wrapped(node.operand)} {_not(node.negated)}BETWEEN {symmetric}{bounds}"

    def _bounds(self, bounds: Bounds) -> str:
        lower = "" if bounds.lower is None else self.bare(bounds.lower)
        upper = "" if bounds.upper is None else self.bare(bounds.upper)
        return f"[{lower}:{upper}]" if bounds.is_slice else f"[{lower}]"


def _not(negated: bool) -> str:
    return "NOT " if negated else ""


def _constant(node: Constant) -> str:
    if node.literal is Literal.TEXT:
        return print_literal(node.text)
    return "NULL" if node.literal is Literal.NULL else node.text
