"""From tokens to the tree of a filter, by the precedence of Postgres' grammar (gram.y, a_expr).

What Electric refuses whatever stands in it is refused here, in its words; types come later. The first fault
of a subquery is kept until the whole text is read, since Electric looks at them after the grammar.
Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from shapegate_harness.electric.errors import Rejected, rejected
from shapegate_harness.electric.keywords import RESERVED
from shapegate_harness.electric.lexer import Kind, Token, split, syntax_error, wrong_at
from shapegate_harness.electric.operand import parse_operand, parse_type
from shapegate_harness.electric.subselect import at_select, parse_clauses, parse_select, stray_select
from shapegate_harness.electric.tree import (
    AnyAll,
    Between,
    Binary,
    Call,
    Cast,
    Constant,
    Distinct,
    InList,
    IsTest,
    Literal,
    Logic,
    Membership,
    Node,
    Not,
    Unary,
    walk,
)
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Callable

NESTING_MAX: Final = 50
"""Parentheses within parentheses: bounds the recursion of this parser."""
DEPTH_MAX: Final = 100
"""The height of a tree: bounds the recursion of all who read it."""

OR, AND, NOT, IS, COMPARISON, MATCH, OPERATOR, SUM, PRODUCT, POWER, ZONE, COLLATE, SIGN, CAST = range(1, 15)
"""Precedence, weakest first."""
_NON_ASSOCIATIVE: Final = frozenset({IS, COMPARISON, MATCH})
_COMPARISONS: Final = frozenset({"<", ">", "=", "<=", ">=", "<>", "!="})
_SIGNS: Final = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT, "^": POWER, "::": CAST}
_NO_OPERATORS: Final = frozenset({"(", ")", "[", "]", ",", ".", ";", ":"})
_WORDS: Final = {
    "or": OR,
    "and": AND,
    "is": IS,
    "isnull": IS,
    "notnull": IS,
    "between": MATCH,
    "in": MATCH,
    "like": MATCH,
    "ilike": MATCH,
    "similar": MATCH,
    "at": ZONE,
    "collate": COLLATE,
    "overlaps": OPERATOR,
}
_NEGATABLE: Final = frozenset({"between", "in", "like", "ilike", "similar"})
_LIKE: Final = {"like": "~~", "ilike": "~~*"}


def parse_tree(text: str) -> Node:
    """Read a whole filter. Raises Rejected, and Failed for what makes Electric fail."""
    parser = Parser(split(text), len(text))
    if any(token.text == ";" and token.kind is Kind.SYMBOL for token in parser.tokens):
        raise rejected(names.WHERE, 'unescaped ";" causing statement split')
    tree = parser.expression()
    parse_clauses(parser, "malformed query ending with SQL clauses")
    if parser.peek() is not None:
        parser.fail()
    if parser.deferred is not None:
        raise parser.deferred
    if any(depth > DEPTH_MAX for depth, _ in walk(tree)):
        raise rejected(names.WHERE, f"is nested deeper than {DEPTH_MAX} levels: write it flatter")
    return tree


class Parser:
    """A position in a list of tokens."""

    def __init__(self, tokens: tuple[Token, ...], length: int) -> None:
        self.tokens = tokens
        self.deferred: Rejected | None = None
        """The first fault that the grammar allows."""
        self._at = 0
        self._length = length
        self._nesting = 0

    # --- tokens

    def peek(self, ahead: int = 0) -> Token | None:
        """Look at a token without taking it; None at the end."""
        at = self._at + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    def is_word(self, *words: str, ahead: int = 0) -> bool:
        """Tell whether one of these keywords comes."""
        token = self.peek(ahead)
        return token is not None and token.kind is Kind.WORD and token.text in words

    def is_symbol(self, symbol: str, ahead: int = 0) -> bool:
        """Tell whether this sign comes."""
        token = self.peek(ahead)
        return token is not None and token.kind is Kind.SYMBOL and token.text == symbol

    def take(self) -> Token:
        """Take the next token. Raises Rejected at the end."""
        token = self.peek()
        if token is None:
            self.fail()
        self._at += 1
        return token

    def accept(self, text: str) -> bool:
        """Take a keyword or sign if it comes."""
        found = self.is_word(text) or self.is_symbol(text)
        self._at += found
        return found

    def expect(self, text: str) -> Token:
        """Take a keyword or sign that has to come."""
        if not (self.is_word(text) or self.is_symbol(text)):
            self.fail()
        return self.take()

    def fail(self, ahead: int = 0) -> NoReturn:
        """Refuse the text at the next token."""
        token = self.peek(ahead)
        raise syntax_error(
            self._length if token is None else token.start, None if token is None else token.written
        )

    def defer(self, fault: Rejected) -> None:
        """Keep a fault for the end; the first one wins."""
        self.deferred = self.deferred or fault

    def name(self) -> str:
        """Take an identifier that is no reserved word."""
        token = self.peek()
        if token is None or not (
            token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.text not in RESERVED)
        ):
            self.fail()
        return self.take().text

    # --- expressions

    def expression(self, weakest: int = OR, *, in_between: bool = False) -> Node:
        """Read an expression whose operators bind at least as tightly as `weakest`.

        `in_between` leaves out what may not stand between BETWEEN and its AND.
        """
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise rejected(names.WHERE, f"has more than {NESTING_MAX} levels of parentheses")
        left = self._prefixed()
        closed: int | None = None
        while (binding := self._binding(in_between=in_between)) is not None and binding >= weakest:
            if binding == closed:
                self.fail()
            left, chained = self._infix(left, binding)
            closed = binding if binding in _NON_ASSOCIATIVE and not chained else None
        self._nesting -= 1
        return left

    def listed(self, end: str) -> tuple[Node, ...]:
        """Read expressions with commas up to a closing sign, which is taken, too."""
        items = [self.expression()]
        while self.accept(","):
            items.append(self.expression())
        self.expect(end)
        return tuple(items)

    def _prefixed(self) -> Node:
        token = self.peek()
        if token is None:
            self.fail()
        if self.accept("not"):
            return Not(token.start, self.expression(NOT))
        if token.kind is not Kind.SYMBOL or token.text in _NO_OPERATORS:
            return parse_operand(self)
        if token.text in _COMPARISONS or token.text in ("*", "/", "%", "^", "::"):
            self.fail()
        self.take()
        if token.text in ("+", "-"):
            return _signed(token, self.expression(SIGN))
        return Unary(token.start, token.text, self.expression(OPERATOR + 1))

    def _binding(self, *, in_between: bool) -> int | None:
        token = self.peek()
        if token is None:
            return None
        if token.kind is Kind.SYMBOL:
            if token.text in _NO_OPERATORS:
                return None
            return COMPARISON if token.text in _COMPARISONS else _SIGNS.get(token.text, OPERATOR)
        if token.kind is not Kind.WORD or in_between:
            return None
        if token.text == "not":
            following = self.peek(1)
            return MATCH if following is not None and following.text in _NEGATABLE else None
        return _WORDS.get(token.text)

    def _infix(self, left: Node, binding: int) -> tuple[Node, bool]:
        """Read an operator and its right side; say whether the same level may follow at once."""
        token = self.take()
        if token.kind is Kind.SYMBOL:
            if token.text == "::":
                return Cast(token.start, left, parse_type(self)), True
            return self._operated(left, token, binding)
        if token.text in ("and", "or"):
            return _joined(token, left, self.expression(binding + 1)), True
        negated = token.text == "not"
        word = self.take() if negated else token
        readers: dict[str, Callable[[Node, Token, bool], Node]] = {
            "is": self._is,
            "isnull": lambda left, at, _: IsTest(at.start, left, "null", False),
            "notnull": lambda left, at, _: IsTest(at.start, left, "null", True),
            "in": self._in,
            "between": self._between,
            "at": self._at_time_zone,
        }
        reader = readers.get(word.text)
        if reader is not None:
            return reader(left, token, negated), word.text == "at"
        if word.text in _LIKE:
            return self._like(left, token, word, negated=negated)
        if word.text == "collate":
            raise wrong_at(token.start, "CollateClause is not supported in this context")
        function = "overlaps/4" if word.text == "overlaps" else "similar_to_escape/1"
        raise wrong_at(token.start, f"unknown or unsupported function {function}")

    def _operated(self, left: Node, token: Token, binding: int) -> tuple[Node, bool]:
        operator = "<>" if token.text == "!=" else token.text
        if self.is_word("any", "some", "all") and self.is_symbol("(", 1):
            return self._any_all(left, token, operator), True
        return Binary(token.start, operator, left, self.expression(binding + 1)), binding != COMPARISON

    def _any_all(self, left: Node, token: Token, operator: str) -> Node:
        word = self.take().text
        self.expect("(")
        if at_select(self):
            return stray_select(self, token.start)
        array = self.expression()
        self.expect(")")
        return AnyAll(token.start, operator, left, array, "all" if word == "all" else "any")

    def _like(self, left: Node, at: Token, word: Token, *, negated: bool) -> tuple[Node, bool]:
        operator = ("!" if negated else "") + _LIKE[word.text]
        if self.is_word("any", "some", "all") and self.is_symbol("(", 1):
            return self._any_all(left, at, operator), True
        right = self.expression(MATCH + 1)
        if self.is_word("escape"):
            raise wrong_at(at.start, "unknown or unsupported function like_escape/2")
        return Binary(at.start, operator, left, right), False

    def _is(self, left: Node, at: Token, _: bool) -> Node:
        negated = self.accept("not")
        if self.accept("distinct"):
            self.expect("from")
            return Distinct(at.start, left, self.expression(IS + 1), negated)
        if not self.is_word("null", "true", "false", "unknown"):
            self.fail()
        return IsTest(at.start, left, self.take().text, negated)

    def _in(self, left: Node, at: Token, negated: bool) -> Node:
        self.expect("(")
        if at_select(self):
            found = Membership(at.start, left, parse_select(self))
            self.expect(")")
            return Not(at.start, found) if negated else found
        return InList(at.start, left, self.listed(")"), negated)

    def _between(self, left: Node, at: Token, negated: bool) -> Node:
        symmetric = self.accept("symmetric")
        if not symmetric:
            self.accept("asymmetric")
        low = self.expression(COMPARISON, in_between=True)
        self.expect("and")
        return Between(at.start, left, low, self.expression(MATCH + 1), negated, symmetric)

    def _at_time_zone(self, left: Node, at: Token, _: bool) -> Node:
        self.expect("time")
        self.expect("zone")
        return Call(at.start, "timezone", (self.expression(ZONE + 1), left))


def _joined(token: Token, left: Node, right: Node) -> Node:
    """Flatten `a AND b AND c`, as Postgres does on its left side."""
    if isinstance(left, Logic) and left.word == token.text:
        return Logic(left.start, left.word, (*left.operands, right))
    return Logic(token.start, token.text, (left, right))


def _signed(token: Token, operand: Node) -> Node:
    """Make `-1` one constant, as Postgres does."""
    if (
        token.text == "-"
        and isinstance(operand, Constant)
        and operand.literal in (Literal.INTEGER, Literal.DECIMAL)
    ):
        text = operand.text
        return Constant(token.start, operand.literal, text[1:] if text.startswith("-") else "-" + text)
    return Unary(token.start, token.text, operand)
