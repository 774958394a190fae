"""What a subquery returns, value by value, kept in step with the stream (PROTOCOL 3.5). Pure.

Values are compared by their text, which is right for the types that `subquery` lets through only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = tuple[str | None, ...]
"""One row of a subquery as Postgres text."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Values that a batch of transactions brought into a subquery's answer, and took out of it."""

    entered: tuple[Value, ...]
    left: tuple[Value, ...]

    def __bool__(self) -> bool:
        return bool(self.entered or self.left)


class Members:
    """The answer of one subquery as a multiset; grows and shrinks by whole batches."""

    def __init__(self, counts: Mapping[Value, int]) -> None:
        self._counts = Counter(counts)
        self._with_null = sum(None in value for value in self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def admits(self, value: Value, *, negated: bool) -> bool:
        """Tell whether `value [NOT] IN (...)` is true, neither false nor null (Postgres: IN, NOT IN)."""
        if not negated:
            return None not in value and value in self._counts
        if None not in value and not self._with_null:
            return value not in self._counts
        return all(_differs(value, member) for member in self._counts)

    def moves(self, delta: Mapping[Value, int]) -> Moves | None:
        """Say what a change of the multiset means; None if it cannot be, and the multiset is wrong."""
        entered, left = [], []
        for value, change in delta.items():
            before = self._counts[value]
            after = before + change
            if after < 0:
                return None
            if not before and after:
                entered.append(value)
            elif before and not after:
                left.append(value)
        return Moves(tuple(entered), tuple(left))

    def follows(self, moves: Moves, *, negated: bool) -> bool:
        """Tell whether events can express what these moves do to rows that are tested for membership.

        An event names the rows with one value. A null that enters or leaves NOT IN, or its first and last
        member, changes it for rows with other values, too; so does each member where several columns are
        compared, since some of a row's may be null.
        """
        if not negated or not moves:
            return True
        after = len(self._counts) + len(moves.entered) - len(moves.left)
        values = (*moves.entered, *moves.left)
        return bool(self._counts) and bool(after) and all(len(v) == 1 and None not in v for v in values)

    def apply(self, delta: Mapping[Value, int]) -> None:
        """Take a change of the multiset that `moves` accepted."""
        for value, change in delta.items():
            before = self._counts[value]
            if before + change:
                self._counts[value] = before + change
            else:
                del self._counts[value]
            self._with_null += None in value and (bool(before + change) - bool(before))


def _differs(left: Value, right: Value) -> bool:
    """Tell whether two rows are unequal for certain: one pair of columns differs, nulls aside."""
    return any(a != b for a, b in zip(left, right, strict=True) if a is not None and b is not None)
