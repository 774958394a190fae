"""Conditions from terms: types checked, constants read, NULL folded away (SECURITY I-06).

Pure: no I/O, no clock.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from shapegate_wire.filter import tree
from shapegate_wire.filter.kinds import INTEGERS, ColumnType, Kind
from shapegate_wire.filter.rules import TEXT, check_comparator, column_side, scalar_type, type_for, value_type
from shapegate_wire.filter.terms import Literal, Placed, Spelling
from shapegate_wire.filter.tree import ArrayComparator, Comparator, Quantifier, Truth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_wire.filter.reader import Reader
    from shapegate_wire.filter.terms import Term

_FLIPPED: Final = {
    Comparator.EQUAL: Comparator.EQUAL,
    Comparator.UNEQUAL: Comparator.UNEQUAL,
    Comparator.LESS: Comparator.GREATER,
    Comparator.LESS_OR_EQUAL: Comparator.GREATER_OR_EQUAL,
    Comparator.GREATER: Comparator.LESS,
    Comparator.GREATER_OR_EQUAL: Comparator.LESS_OR_EQUAL,
}
_ARRAY_FLIPPED: Final = {
    ArrayComparator.CONTAINS: ArrayComparator.CONTAINED,
    ArrayComparator.CONTAINED: ArrayComparator.CONTAINS,
    ArrayComparator.OVERLAPS: ArrayComparator.OVERLAPS,
}
PERCENTS_MAX: Final = 10


class Builder:
    """Makes the conditions of one filter; `reader` reads its constants and counts what it costs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def standing_alone(self, term: Term) -> tree.Condition:
        """Read a term as a condition: a boolean column or constant."""
        if isinstance(term, Literal):
            if term.is_null:
                self._reader.check_null(term, ColumnType(Kind.BOOL))
                return Truth.UNKNOWN
            return Truth.TRUE if self._reader.scalar(term, Kind.BOOL).text == "true" else Truth.FALSE
        if isinstance(term.operand, tree.Column) and term.type == ColumnType(Kind.BOOL):
            return tree.Flag(term.operand)
        raise term.refused("a condition", "only a boolean column stands alone")

    def compared(self, left: Term, comparator: Comparator, right: Term) -> tree.Condition:
        """Compare two terms, at least one of them a column's, or two of `true` and `false`."""
        if isinstance(left, Literal) and isinstance(right, Literal):
            return self._truths_compared(left, comparator, right)
        if isinstance(left, Literal):
            left, right, comparator = right, left, _FLIPPED[comparator]
        left = column_side(left)
        type_ = type_for(left, comparator)
        value = self._other_side(type_, right)
        self._reader.count(left.start)
        return Truth.UNKNOWN if value is None else tree.Compared(left.operand, comparator, value)

    def distinct(self, left: Term, right: Term, *, negated: bool) -> tree.Condition:
        """Compare two terms, NULL being a value of its own."""
        if isinstance(left, Literal):
            left, right = right, left
        left = column_side(left)
        value = self._other_side(type_for(left, Comparator.UNEQUAL), right)
        self._reader.count(left.start)
        if value is None:
            return tree.NullTested(left.operand, negated=not negated)
        return tree.Distinct(left.operand, value, negated)

    def between(self, item: Term, low: Term, high: Term, *, symmetric: bool, negated: bool) -> tree.Condition:
        """Compare a term with two bounds, both belonging to the range."""
        to_low, to_high, join = Comparator.GREATER_OR_EQUAL, Comparator.LESS_OR_EQUAL, self.both
        if negated:
            to_low, to_high, join = Comparator.LESS, Comparator.GREATER, self.either
        one_way = join((self.compared(item, to_low, low), self.compared(item, to_high, high)))
        if not symmetric:
            return one_way
        other_way = join((self.compared(item, to_low, high), self.compared(item, to_high, low)))
        return (self.both if negated else self.either)((one_way, other_way))

    def listed(self, item: Term, items: tuple[Literal, ...], *, negated: bool) -> tree.Condition:
        """Compare a term with a list of constants: `[NOT] IN`."""
        left = column_side(item)
        comparator = Comparator.UNEQUAL if negated else Comparator.EQUAL
        kind = scalar_type(left, comparator).kind
        read = [self._reader.element(one, kind) for one in items]
        self._reader.count_constant(left.start)
        return self._quantified(left, comparator, Quantifier.ALL if negated else Quantifier.ANY, read)

    def quantified(
        self, left: Term, comparator: Comparator, quantifier: Quantifier, right: Term
    ) -> tree.Condition:
        """Compare a term with the elements of an array; one of the two is a column."""
        if isinstance(right, Literal):
            left = column_side(left)
            kind = scalar_type(left, comparator).kind
            if right.is_null:
                self._reader.check_null(right, ColumnType(kind, is_array=True))
                return Truth.UNKNOWN
            return self._quantified(left, comparator, quantifier, self._reader.elements(right, kind))
        if not (
            isinstance(left, Literal)
            and isinstance(right.operand, tree.Column)
            and right.operand.type.is_array
        ):
            raise right.refused("a constant array, or an array column with a constant before it")
        element = ColumnType(right.operand.type.kind)
        check_comparator(right, element, comparator)
        self._reader.count(left.start)
        if left.is_null:
            raise left.refused("a constant other than NULL", "compare with IS NULL")
        return tree.Quantified(self._reader.scalar(left, element.kind), comparator, quantifier, right.operand)

    def array_compared(self, left: Term, comparator: ArrayComparator, right: Term) -> tree.Condition:
        """Compare two arrays as sets; at least one is a column."""
        if isinstance(left, Literal):
            left, right, comparator = right, left, _ARRAY_FLIPPED[comparator]
        left = column_side(left)
        if not (
            isinstance(left.operand, tree.Column)
            and left.operand.type.is_array
            and left.operand.type.is_compared
        ):
            raise left.refused("an array column", f"{comparator.value} compares arrays")
        value = self._other_side(left.operand.type, right, as_set=True)
        self._reader.count(left.start)
        if value is None:
            return Truth.UNKNOWN
        assert isinstance(value, tree.Column | tree.ConstantArray)  # of an array type
        return tree.ArrayCompared(left.operand, comparator, value)

    def like(self, item: Term, pattern: Term, *, ignoring_case: bool, negated: bool) -> tree.Condition:
        """Match a text operand with a constant pattern."""
        left = column_side(item)
        if value_type(left) != TEXT:
            raise left.refused("a text column", "LIKE matches text")
        if not isinstance(pattern, Literal):
            raise pattern.refused("a constant pattern")
        self._reader.count(left.start)
        if pattern.is_null:
            self._reader.check_null(pattern, TEXT)
            return Truth.UNKNOWN
        constant = self._reader.pattern(pattern, percents_max=PERCENTS_MAX)
        return tree.Like(left.operand, constant, ignoring_case, negated)

    def null_tested(self, item: Term, *, negated: bool) -> tree.Condition:
        """Test a term for NULL."""
        self._reader.count(item.start)
        if isinstance(item, Literal):
            return tree.Tested(self.standing_alone(item), tree.TruthTest.UNKNOWN, negated)
        return tree.NullTested(item.operand, negated)

    def both(self, items: Iterable[tree.Condition]) -> tree.Condition:
        """Join by AND; what is joined by AND already is taken apart."""
        parts = (item.items if isinstance(item, tree.Both) else (item,) for item in items)
        return tree.Both(tuple(chain.from_iterable(parts)))

    def either(self, items: Iterable[tree.Condition]) -> tree.Condition:
        """Join by OR; what is joined by OR already is taken apart."""
        parts = (item.items if isinstance(item, tree.Either) else (item,) for item in items)
        return tree.Either(tuple(chain.from_iterable(parts)))

    def _truths_compared(self, left: Literal, comparator: Comparator, right: Literal) -> Truth:
        """Fold `true = true`, which TanStack DB sends where it has no filter (its sql-compiler.ts)."""
        for term in (left, right):
            if term.spelling is not Spelling.BOOL or term.cast is not None:
                column_side(term)
        if comparator not in (Comparator.EQUAL, Comparator.UNEQUAL):
            raise left.refused("= or <> between true and false")
        self._reader.count(left.start)
        equal = self.standing_alone(left) is self.standing_alone(right)
        return Truth.TRUE if equal is (comparator is Comparator.EQUAL) else Truth.FALSE

    def _other_side(
        self, type_: ColumnType, right: Term, *, as_set: bool = False
    ) -> tree.Operand | tree.Constant | tree.ConstantArray | None:
        """Read what an operand is compared with; None is NULL."""
        if isinstance(right, Placed):
            other = value_type(right)
            if other != type_ and not (
                {other.kind, type_.kind} <= INTEGERS and not (other.is_array or type_.is_array)
            ):
                raise right.refused(f"a column or constant of type {type_}", f"this one is {other}")
            return right.operand
        if right.is_null:
            self._reader.check_null(right, type_)
            return None
        if not type_.is_array:
            return self._reader.scalar(right, type_.kind)
        items = self._reader.elements(right, type_.kind)
        known = tuple(item for item in items if item is not None)
        if len(known) != len(items):
            # To Postgres no NULL contains another, to Electric it does.
            raise right.refused("an array without NULL")
        return tree.ConstantArray(tuple(sorted(set(known))) if as_set else known)

    def _quantified(
        self, left: Placed, comparator: Comparator, quantifier: Quantifier, items: Iterable[str | None]
    ) -> tree.Condition:
        """Fold NULL elements and short lists away: Electric and Postgres read them in different ways.

        `x = ANY ('{1,NULL}')` is `x = 1 OR NULL`; of no elements ANY is false and ALL true, whatever x is.
        """
        self._reader.count(left.start)
        given = set(items)
        known = tuple(sorted(item for item in given if item is not None))
        found: tree.Condition
        if not known:
            found = Truth.FALSE if quantifier is Quantifier.ANY else Truth.TRUE
        elif len(known) == 1:
            found = tree.Compared(left.operand, comparator, tree.Constant(known[0]))
        else:
            found = tree.Quantified(left.operand, comparator, quantifier, tree.ConstantArray(known))
        if None not in given:
            return found
        if not known:
            return Truth.UNKNOWN
        return (self.either if quantifier is Quantifier.ANY else self.both)((found, Truth.UNKNOWN))
