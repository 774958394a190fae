"""What stands on either side of an operator before types are known. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.filter.tree import Applied, Coalesced, Column

if TYPE_CHECKING:
    from shapegate_wire.filter.kinds import ColumnType
    from shapegate_wire.filter.tree import Operand


class Spelling(enum.Enum):
    """How a constant was written; it decides which types it can have."""

    NUMBER = "a number"
    TEXT = "a text"
    BOOL = "true or false"
    NULL = "NULL"
    PARAM = "$n"
    ARRAY = "ARRAY[...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A constant as written."""

    spelling: Spelling
    text: str
    """The meaning: of a text without quotes, of `$n` the number."""
    start: int
    written: str
    items: tuple[Literal, ...] = ()
    """Elements of `ARRAY[...]`."""
    cast: ColumnType | None = None
    """What `::type` says."""

    @property
    def is_null(self) -> bool:
        """Whether it is NULL, cast or not."""
        return self.spelling is Spelling.NULL

    def with_cast(self, cast: ColumnType) -> Literal:
        """Return it as cast to a type."""
        return replace(self, cast=cast)

    def refused(self, expected: str, advice: str = "") -> FilterRefused:
        """Make the refusal of this constant."""
        return FilterRefused(self.start, self.written, expected, advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An operand and where it stands."""

    operand: Operand
    start: int
    written: str

    @property
    def type(self) -> ColumnType | None:
        """The type of its value; None where it is text made by a function."""
        match self.operand:
            case Column():
                return self.operand.type
            case Applied() | Coalesced():
                return None

    def refused(self, expected: str, advice: str = "") -> FilterRefused:
        """Make the refusal of this operand."""
        return FilterRefused(self.start, self.written, expected, advice)


Term = Literal | Placed
