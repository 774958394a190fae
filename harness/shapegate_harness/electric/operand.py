"""What stands between two operators: names, literals, calls, casts, arrays (Postgres: gram.y, c_expr).

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.keywords import FUNCTIONS_ONLY, RESERVED, SPECIAL_CALLS, TYPES, UNSTEADY
from shapegate_harness.electric.lexer import Kind, Token, wrong_at
from shapegate_harness.electric.subselect import at_select, stray_select
from shapegate_harness.electric.tree import (
    ArrayOf,
    Bounds,
    Call,
    Cast,
    Column,
    Constant,
    Literal,
    Node,
    Param,
    Row,
    Subscript,
    TypeName,
)

if TYPE_CHECKING:
    from shapegate_harness.electric.parse import Parser

_INT4_MAX: Final = 2**31 - 1
_DECIMAL: Final = re.compile(r"[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?")
_VARIADIC: Final = ("coalesce", "greatest", "least")
_AGGREGATE: Final = "aggregation is not supported in this context"


def parse_operand(parser: Parser) -> Node:
    """Read one operand with its brackets. Raises Rejected."""
    token = parser.peek()
    if token is None:
        parser.fail()
    match token.kind:
        case Kind.TEXT:
            return Constant(parser.take().start, Literal.TEXT, token.text)
        case Kind.NUMBER:
            return _number(parser.take())
        case Kind.BITS:
            raise wrong_at(token.start, "BitString values are not supported")
        case Kind.PARAM:
            return _subscripted(parser, Param(parser.take().start, int(token.text[1:])))
        case Kind.SYMBOL:
            return _parenthesised(parser)
        case Kind.WORD | Kind.QUOTED:
            return _named(parser, token)


def _number(token: Token) -> Node:
    if token.text.isdecimal():
        if int(token.text) <= _INT4_MAX:
            return Constant(token.start, Literal.INTEGER, str(int(token.text)))
    elif _DECIMAL.fullmatch(token.text):
        return Constant(token.start, Literal.DECIMAL, token.text)
    raise wrong_at(
        token.start,
        f"Electric cannot read the number {token.text[:40]}: expected an int4, or digits on both sides of a "
        "point; write it in quotes or pass it as a parameter",
    )


def _parenthesised(parser: Parser) -> Node:
    start = parser.expect("(").start
    if at_select(parser):
        return stray_select(parser, start)
    items = parser.listed(")")
    return _subscripted(parser, items[0]) if len(items) == 1 else Row(start, items)


def _subscripted(parser: Parser, operand: Node) -> Node:
    bounds: list[Bounds] = []
    while parser.accept("["):
        lower = None if parser.is_symbol(":") else parser.expression()
        is_slice = parser.accept(":")
        upper = None if not is_slice or parser.is_symbol("]") else parser.expression()
        parser.expect("]")
        bounds.append(Bounds(lower, upper, is_slice))
    return Subscript(operand.start, operand, tuple(bounds)) if bounds else operand


def _named(parser: Parser, token: Token) -> Node:
    if token.kind is Kind.WORD:
        keyword = _keyword(parser, token)
        if keyword is not None:
            return keyword
        typed = _typed_literal(parser, token)
        if typed is not None:
            return typed
        if token.text in RESERVED:
            parser.fail()
    path = [parser.take().text]
    while parser.accept("."):
        # Postgres allows reserved words after a dot.
        part = parser.take()
        if part.kind not in (Kind.WORD, Kind.QUOTED) and part.text != "*":
            parser.fail(-1)
        path.append(part.text)
    if parser.is_symbol("("):
        return _call(parser, token.start, path)
    if token.kind is Kind.WORD and token.text in FUNCTIONS_ONLY:
        parser.fail()
    return _subscripted(parser, Column(token.start, tuple(path)))


def _keyword(parser: Parser, token: Token) -> Node | None:
    word, start = token.text, token.start
    called = parser.is_symbol("(", 1)
    if word in ("true", "false"):
        return Constant(parser.take().start, Literal.BOOLEAN, word)
    if word == "null":
        return Constant(parser.take().start, Literal.NULL, "")
    if word == "case":
        raise wrong_at(start, "CaseExpr is not supported in this context")
    if word in UNSTEADY:
        raise wrong_at(start, "SQLValueFunction is not supported in this context")
    if word == "array":
        return _array(parser)
    if not called:
        return None
    if word in ("exists", "row", "cast"):
        parser.take()
        parser.take()
        if word == "exists":
            return _stray(parser, start)
        return _cast(parser, start) if word == "cast" else Row(start, parser.listed(")"))
    if word == "nullif":
        raise wrong_at(start, 'expression "=" of :AEXPR_NULLIF is not currently supported')
    if word in SPECIAL_CALLS:
        raise wrong_at(start, f"unknown or unsupported function {word}/{_arity(parser)}")
    if word in _VARIADIC:
        parser.take()
        parser.take()
        return Call(start, word, parser.listed(")"))
    return None


def _stray(parser: Parser, start: int) -> Node:
    if not at_select(parser):
        parser.fail()
    return stray_select(parser, start)


def _arity(parser: Parser) -> int:
    """Count the arguments of a call whose grammar is not read here."""
    depth, ahead, separators = 0, 1, 0
    while (token := parser.peek(ahead)) is not None:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            break
        separators += depth == 1 and token.text in (",", "from", "for", "in", "placing")
        ahead += 1
    return separators + 1


def _array(parser: Parser) -> Node:
    start = parser.take().start
    if parser.accept("("):
        return _stray(parser, start)
    return _array_items(parser, start)


def _array_items(parser: Parser, start: int) -> Node:
    parser.expect("[")
    if parser.accept("]"):
        return ArrayOf(start, ())
    if not parser.is_symbol("["):
        return ArrayOf(start, parser.listed("]"))
    raise wrong_at(start, "arrays of arrays are not supported: write them as a text with a cast")


def _cast(parser: Parser, start: int) -> Node:
    operand = parser.expression()
    parser.expect("as")
    found = Cast(start, operand, parse_type(parser))
    parser.expect(")")
    return found


def _call(parser: Parser, start: int, path: list[str]) -> Node:
    parser.expect("(")
    name = path[-1] if len(path) == 1 or path[:-1] == ["pg_catalog"] else ".".join(path)
    if parser.accept(")"):
        arguments: tuple[Node, ...] = ()
    elif parser.is_symbol("*") or parser.is_word("distinct", "all"):
        raise wrong_at(start, _AGGREGATE)
    else:
        arguments = parser.listed(")")
    if parser.is_word("within", "filter", "over"):
        raise wrong_at(start, _AGGREGATE)
    return Call(start, name, arguments)


def _typed_literal(parser: Parser, token: Token) -> Node | None:
    """Read `date '2026-01-01'`, which is a cast of the literal."""
    words = 1
    while words < 4 and parser.is_word(
        "with", "without", "time", "zone", "precision", "varying", ahead=words
    ):
        words += 1
    literal = parser.peek(words)
    if literal is None or literal.kind is not Kind.TEXT or token.text in RESERVED:
        return None
    to = parse_type(parser)
    if parser.peek() is not literal:
        parser.fail()
    parser.take()
    return Cast(token.start, Constant(literal.start, Literal.TEXT, literal.text), to)


def parse_type(parser: Parser) -> TypeName:
    """Read the name of a type; modifiers are refused, since Electric does not apply them."""
    token = parser.peek()
    parts = [parser.name()]
    assert token is not None
    while parser.accept("."):
        parts.append(parser.name())
    spelled = parts[-1] if len(parts) == 1 or parts[0] == "pg_catalog" else ".".join(parts)
    if token.kind is Kind.WORD and len(parts) == 1:
        spelled = _spelled(parser, spelled)
    array = False
    while parser.accept("["):
        if not parser.is_symbol("]"):
            parser.take()
        parser.expect("]")
        array = True
    array = parser.accept("array") or array
    return TypeName(token.start, spelled, array)


def _spelled(parser: Parser, word: str) -> str:
    """Read the rest of a type of several words."""
    if (word == "double" and parser.accept("precision")) or (
        word in ("character", "char", "bit") and parser.accept("varying")
    ):
        word += " precision" if word == "double" else " varying"
    if parser.is_symbol("("):
        start = parser.take().start
        raise wrong_at(start, f"type modifiers are not supported: cast to {word} without one")
    if word in ("time", "timestamp") and parser.is_word("with", "without"):
        word += f" {parser.take().text} {parser.expect('time').text} {parser.expect('zone').text}"
    return TYPES.get(word, word)
