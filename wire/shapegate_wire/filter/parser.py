"""Parses a client's filter: one condition of the closed grammar, nothing behind it.

Precedence is Postgres': OR, AND, NOT, IS, then comparisons, which do not chain. Recursion is bounded by the
depth, work by the number of tokens. Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_wire.filter import tree
from shapegate_wire.filter.builder import Builder
from shapegate_wire.filter.cursor import Cursor
from shapegate_wire.filter.kinds import column_type
from shapegate_wire.filter.lexer import Kind
from shapegate_wire.filter.operands import Operands
from shapegate_wire.filter.reader import Reader
from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.filter.terms import Literal, Placed
from shapegate_wire.filter.tree import ArrayComparator, Comparator, Quantifier, TruthTest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shapegate_wire.filter.lexer import Token
    from shapegate_wire.filter.terms import Term

_COMPARATORS: Final = {item.value: item for item in Comparator} | {"!=": Comparator.UNEQUAL}
_ARRAY_COMPARATORS: Final = {item.value: item for item in ArrayComparator}
_QUANTIFIERS: Final = {"any": Quantifier.ANY, "some": Quantifier.ANY, "all": Quantifier.ALL}
_TESTS: Final = {"true": TruthTest.TRUE, "false": TruthTest.FALSE, "unknown": TruthTest.UNKNOWN}


def parse_filter(text: str, *, params: Sequence[str], columns: Mapping[str, str]) -> tree.Filter:
    """Parse a filter over columns that are named with their Postgres types; `params` are `$1`, `$2`, ...

    Raises FilterRefused for everything that is not in the grammar of SECURITY.
    """
    cursor = Cursor(text)
    reader = Reader(params)
    typed = {name: tree.Column(name, column_type(type_)) for name, type_ in columns.items()}
    return tree.Filter(_Parser(cursor, Operands(cursor, typed, reader), Builder(reader), reader).whole())


class _Parser:
    """One filter under way. What is read is a term until something makes a condition of it."""

    def __init__(self, cursor: Cursor, operands: Operands, builder: Builder, reader: Reader) -> None:
        self._cursor = cursor
        self._operands = operands
        self._builder = builder
        self._reader = reader

    def whole(self) -> tree.Condition:
        found = self._condition(self._either())
        self._cursor.expect_end("AND, OR or the end")
        self._reader.check_all_used(self._cursor.token.start)
        return found

    def _either(self) -> tree.Condition | Term:
        first = self._both()
        if not self._cursor.token.is_word("or"):
            return first
        items = [self._condition(first)]
        while self._cursor.take_word("or"):
            items.append(self._condition(self._both()))
        return self._builder.either(items)

    def _both(self) -> tree.Condition | Term:
        first = self._opposite()
        if not self._cursor.token.is_word("and"):
            return first
        items = [self._condition(first)]
        while self._cursor.take_word("and"):
            items.append(self._condition(self._opposite()))
        return self._builder.both(items)

    def _opposite(self) -> tree.Condition | Term:
        word = self._cursor.take_word("not")
        if word is None:
            return self._tested()
        self._cursor.enter()
        self._reader.count(word.start)
        item = self._condition(self._opposite())
        self._cursor.leave()
        return tree.Not(item)

    def _tested(self) -> tree.Condition | Term:
        """Read a comparison and the tests behind it; IS binds looser than a comparison."""
        found = self._comparison()
        while word := self._cursor.take_word("is"):
            negated = self._cursor.take_word("not") is not None
            if self._cursor.take_word("distinct"):
                self._cursor.expect_word("from")
                # It does not chain: to Postgres `a IS DISTINCT FROM b IS TRUE` is a mistake.
                return self._builder.distinct(self._term(found, word), self._side(), negated=negated)
            found = self._test(found, word, negated=negated)
        return found

    def _test(self, found: tree.Condition | Term, word: Token, *, negated: bool) -> tree.Condition:
        expected = self._cursor.expect_word("null", "true", "false", "unknown", "distinct")
        if expected.text == "null" and isinstance(found, Literal | Placed):
            return self._builder.null_tested(found, negated=negated)
        self._reader.count(word.start)
        # For a condition, NULL is another word for unknown.
        test = _TESTS.get(expected.text, TruthTest.UNKNOWN)
        return tree.Tested(self._condition(found), test, negated)

    def _comparison(self) -> tree.Condition | Term:
        start = self._cursor.token
        left = self._primary()
        token = self._cursor.token
        if token.kind is Kind.OPERATOR:
            return self._operator(self._term(left, start))
        if token.is_word("in", "between", "like", "ilike"):
            return self._worded(self._term(left, start), negated=False)
        if token.is_word("not"):
            self._cursor.take()
            if not self._cursor.token.is_word("in", "between", "like", "ilike"):
                raise self._cursor.unexpected("IN, BETWEEN, LIKE or ILIKE behind NOT")
            return self._worded(self._term(left, start), negated=True)
        return left

    def _operator(self, left: Term) -> tree.Condition:
        token = self._cursor.token
        if token.text in _ARRAY_COMPARATORS:
            self._cursor.take()
            return self._builder.array_compared(left, _ARRAY_COMPARATORS[token.text], self._side())
        if token.text not in _COMPARATORS:
            raise self._cursor.unexpected("a comparison", "arithmetic is not served")
        self._cursor.take()
        word = self._cursor.take_word(*_QUANTIFIERS)
        if word is None:
            return self._builder.compared(left, _COMPARATORS[token.text], self._side())
        self._cursor.expect_mark("(")
        right = self._side()
        self._cursor.expect_mark(")")
        return self._builder.quantified(left, _COMPARATORS[token.text], _QUANTIFIERS[word.text], right)

    def _worded(self, left: Term, *, negated: bool) -> tree.Condition:
        word = self._cursor.take()
        match word.text:
            case "in":
                return self._builder.listed(left, self._operands.list_items(), negated=negated)
            case "between":
                symmetric = self._cursor.take_word("symmetric") is not None
                low = self._side()
                self._cursor.expect_word("and")
                return self._builder.between(left, low, self._side(), symmetric=symmetric, negated=negated)
            case _:
                ignoring_case = word.text == "ilike"
                return self._builder.like(left, self._side(), ignoring_case=ignoring_case, negated=negated)

    def _side(self) -> Term:
        """Read what stands behind an operator."""
        start = self._cursor.token
        return self._term(self._primary(), start)

    def _primary(self) -> tree.Condition | Term:
        if not self._cursor.take_mark("("):
            return self._operands.cast(self._operands.term())
        self._cursor.enter()
        inner = self._either()
        self._cursor.expect_mark(")")
        self._cursor.leave()
        return self._operands.cast(inner) if isinstance(inner, Literal | Placed) else inner

    def _condition(self, found: tree.Condition | Term) -> tree.Condition:
        return self._builder.standing_alone(found) if isinstance(found, Literal | Placed) else found

    def _term(self, found: tree.Condition | Term, start: Token) -> Term:
        if isinstance(found, Literal | Placed):
            return found
        raise FilterRefused(
            start.start,
            start.written,
            "a column or a constant",
            "a condition is not compared: test it with IS",
        )
