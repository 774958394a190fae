"""Subqueries of a filter, and the clauses that Electric drops or refuses after a condition (recorded).

Only plain columns of one table are let through. Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from shapegate_harness.electric.errors import Failed, rejected
from shapegate_harness.electric.keywords import RESERVED
from shapegate_harness.electric.lexer import SYNTAX_ERROR_OFFSET, Kind, wrong_at
from shapegate_harness.electric.tree import Column, Constant, Literal, Node, Select
from shapegate_wire import names
from shapegate_wire.identifier import TableName

if TYPE_CHECKING:
    from shapegate_harness.electric.parse import Parser

_ENDINGS: Final = ("group", "having", "window", "order", "for")
_SETS: Final = ("union", "intersect", "except")
_JOINS: Final = frozenset({"join", "inner", "left", "right", "full", "cross", "natural", "tablesample"})
_CLAUSES: Final = "SELECT statement must not contain any clauses"
_TABLES: Final = "Expected a single table reference"


def at_select(parser: Parser) -> bool:
    """Tell whether a subquery comes, in any number of parentheses."""
    ahead = 0
    while parser.is_symbol("(", ahead):
        ahead += 1
    return parser.is_word("select", "with", "values", "table", ahead=ahead)


def stray_select(parser: Parser, start: int) -> Node:
    """Read a subquery, and the parenthesis after it, in a place where Electric has none."""
    parse_select(parser)
    parser.expect(")")
    parser.defer(wrong_at(start, "only `value IN (SELECT ...)` sublinks are supported right now"))
    return Constant(start, Literal.NULL, "")


def parse_select(parser: Parser) -> Select:
    """Read a subquery, with parentheses of its own if it has them. Raises Rejected, Failed."""
    if parser.accept("("):
        inner = parse_select(parser)
        parser.expect(")")
        return inner
    if not parser.is_word("select"):
        _refuse(parser, _CLAUSES)
    start = parser.take().start
    if parser.is_word("distinct"):
        _refuse(parser, _CLAUSES)
    columns = [_target(parser)]
    while parser.accept(","):
        columns.append(_target(parser))
    table = _from(parser)
    where = parser.expression() if parser.accept("where") else None
    parse_clauses(parser, _CLAUSES, in_select=True)
    return Select(start, table, tuple(columns), where)


def _refuse(parser: Parser, text: str) -> NoReturn:
    raise parser.deferred or rejected(names.WHERE, text)


def _target(parser: Parser) -> str:
    token = parser.peek()
    if token is None:
        parser.fail()
    node = None if parser.accept("*") else parser.expression()
    if parser.accept("as") or _at_alias(parser):
        parser.name()
    if isinstance(node, Column) and len(node.path) == 1:
        return node.path[0]
    # Electric counts this one place from the start of its own statement (recorded).
    place = SYNTAX_ERROR_OFFSET + token.start
    parser.defer(rejected(names.WHERE, f"At location {place}: Expected a plain column reference"))
    return ""


def _from(parser: Parser) -> TableName:
    if not parser.accept("from"):
        parser.defer(rejected(names.WHERE, _TABLES))
        return TableName("public", "")
    parser.accept("only")
    if parser.is_symbol("(") or parser.is_word("lateral"):
        _refuse(parser, _TABLES)
    parts = [parser.name()]
    while parser.accept("."):
        parts.append(parser.name())
    if parser.accept("as") or _at_alias(parser):
        parser.name()
    more = parser.is_symbol(",") or parser.is_symbol("(") or parser.is_word(*_JOINS)
    if len(parts) > 2 or more:
        _refuse(parser, _TABLES)
    return TableName("public" if len(parts) == 1 else parts[0], parts[-1])


def _at_alias(parser: Parser) -> bool:
    token = parser.peek()
    if token is None or token.kind not in (Kind.WORD, Kind.QUOTED):
        return False
    return token.kind is Kind.QUOTED or token.text not in RESERVED | _JOINS


def parse_clauses(parser: Parser, refusal: str, *, in_select: bool = False) -> None:
    """Read what may follow a condition: Electric drops LIMIT, OFFSET and FETCH (recorded)."""
    while True:
        if parser.is_word(*_SETS):
            raise Failed("Internal server error")
        if parser.is_word(*_ENDINGS) or (in_select and parser.is_word("offset")):
            _refuse(parser, refusal)
        if parser.accept("limit"):
            if not parser.accept("all"):
                parser.expression()
        elif parser.accept("offset"):
            parser.expression()
            parser.accept("row") or parser.accept("rows")
        elif parser.accept("fetch"):
            _fetch(parser)
        else:
            return


def _fetch(parser: Parser) -> None:
    parser.accept("first") or parser.expect("next")
    if not parser.is_word("row", "rows"):
        parser.expression()
    parser.accept("row") or parser.expect("rows")
    if not parser.accept("only"):
        parser.expect("with")
        parser.expect("ties")
