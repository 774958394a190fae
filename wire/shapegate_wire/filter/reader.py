"""Reads the constants of one filter, `$n` included, and counts what the filter costs.

Pure: no I/O, no clock; the counts are of one filter only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shapegate_wire.filter.array_text import parse_array
from shapegate_wire.filter.constants import check_array_cast, read_constant
from shapegate_wire.filter.kinds import ColumnType, Kind
from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.filter.terms import Spelling
from shapegate_wire.filter.tree import Constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_wire.filter.terms import Literal

NODES_MAX: Final = 600
CONSTANTS_MAX: Final = 200
"""Also the most items of a list and the most parameters; an array counts once."""
ELEMENTS_MAX: Final = 2_000
"""Elements of all arrays together; one array alone has at most 1,000."""
PARAM_CHARS_MAX: Final = 40_000
"""Of all parameters together: more than 1,000 uuids in one array have."""

_PATTERN_PART: Final = re.compile(r"\\.|%+|[^\\%]+", re.DOTALL)


class Reader:
    """The parameters of one filter, what they were used as, and what was counted so far."""

    def __init__(self, params: Sequence[str]) -> None:
        if len(params) > CONSTANTS_MAX:
            raise FilterRefused(
                0, f"{len(params)} params", f"at most {CONSTANTS_MAX}", "pass a list as one array"
            )
        total = sum(map(len, params))
        if total > PARAM_CHARS_MAX:
            raise FilterRefused(
                0, f"{total} characters of params", f"at most {PARAM_CHARS_MAX} together", "ask in parts"
            )
        self._params = params
        self._used: dict[int, ColumnType] = {}
        self._nodes = 0
        self._constants = 0
        self._elements = 0

    def count(self, start: int) -> None:
        """Count one node of the tree. Raises FilterRefused above the bound."""
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise FilterRefused(
                start, f"node {self._nodes}", f"at most {NODES_MAX} nodes", "pass lists as one array $n"
            )

    def count_constant(self, start: int) -> None:
        """Count one value that is printed as a parameter. Raises FilterRefused above the bound."""
        self._constants += 1
        if self._constants > CONSTANTS_MAX:
            seen = f"constant {self._constants}"
            raise FilterRefused(
                start, seen, f"at most {CONSTANTS_MAX} constants", "pass lists as one array $n"
            )

    def check_all_used(self, end: int) -> None:
        """Refuse a parameter that no `$n` uses, as Electric does."""
        unused = next(
            (number for number in range(1, len(self._params) + 1) if number not in self._used), None
        )
        if unused is not None:
            raise FilterRefused(
                end, "", f"a use of ${unused}", "number parameters from 1 and send none too many"
            )

    def check_null(self, literal: Literal, type_: ColumnType) -> None:
        """Check the cast of a NULL. Raises FilterRefused."""
        if literal.cast not in (None, type_):
            raise literal.refused(f"NULL of type {type_}")

    def scalar(self, literal: Literal, kind: Kind) -> Constant:
        """Read one constant. Raises FilterRefused."""
        self.count_constant(literal.start)
        return Constant(self._text(literal, kind))

    def element(self, item: Literal, kind: Kind, cast: ColumnType | None = None) -> str | None:
        """Read one constant of a list that is cast as a whole, or not; None is NULL. Raises FilterRefused."""
        if item.is_null:
            self.check_null(item, ColumnType(kind))
            return None
        text = self._text(item, kind)
        if cast is not None and cast.kind is not kind:
            # Both are integers then, of which the shorter one could raise.
            read_constant(replace(item, spelling=Spelling.TEXT, text=text), cast.kind)
        return text

    def elements(self, literal: Literal, kind: Kind) -> list[str | None]:
        """Read an array of a type, from `ARRAY[...]`, '{...}' or `$n`. Raises FilterRefused."""
        self.count_constant(literal.start)
        check_array_cast(literal, kind)
        if literal.spelling is Spelling.ARRAY:
            if not literal.items and literal.cast is None:
                raise literal.refused("a cast of an empty ARRAY[]", f"write ARRAY[]::{kind.value}[]")
            return [self.element(item, kind, literal.cast) for item in literal.items]
        written = self._resolved(literal, ColumnType(kind, is_array=True))
        if written.spelling is not Spelling.TEXT:
            raise literal.refused("an array", "write ARRAY[...] or '{...}'")
        try:
            items = parse_array(written.text)
        except ValueError as exc:
            raise written.refused(str(exc)) from None
        self._elements += len(items)
        if self._elements > ELEMENTS_MAX:
            raise written.refused(f"at most {ELEMENTS_MAX} elements in all arrays together", "ask in parts")
        return [None if item is None else _element_text(written, item, kind) for item in items]

    def pattern(self, literal: Literal, *, percents_max: int) -> Constant:
        """Read the pattern of a LIKE; runs of `%`, which mean one, become one. Raises FilterRefused."""
        text = self.scalar(literal, Kind.TEXT).text
        parts = _PATTERN_PART.findall(text)
        if sum(map(len, parts)) != len(text):
            raise literal.refused("a pattern that does not end in a backslash", "write \\\\ for a backslash")
        if sum(len(part) for part in parts if part.startswith("%")) > percents_max:
            raise literal.refused(f"a pattern with at most {percents_max} %")
        return Constant("".join("%" if part.startswith("%") else part for part in parts))

    def _text(self, literal: Literal, kind: Kind) -> str:
        return read_constant(self._resolved(literal, ColumnType(kind)), kind)

    def _resolved(self, literal: Literal, type_: ColumnType) -> Literal:
        """Replace `$n` by its value; one number has one type everywhere, as Electric demands."""
        if literal.spelling is not Spelling.PARAM:
            return literal
        number = int(literal.text)
        if number > len(self._params):
            raise literal.refused(
                f"$1 to ${len(self._params)}" if self._params else "no $n", "send params[n] for each $n"
            )
        before = self._used.setdefault(number, type_)
        if before != type_:
            raise literal.refused(f"one type for ${number}", f"it is used as {before} and as {type_}")
        return replace(literal, spelling=Spelling.TEXT, text=self._params[number - 1])


def _element_text(array: Literal, item: str, kind: Kind) -> str:
    cast = None if array.cast is None else ColumnType(array.cast.kind)
    return read_constant(replace(array, text=item, cast=cast), kind)
