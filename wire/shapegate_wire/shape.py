"""What a shape is: one table, an optional filter, a column list and two modes. Pure: no I/O, no clock."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass

from shapegate_wire import names
from shapegate_wire.identifier import parse_columns, parse_table, print_columns

QueryPairs = list[tuple[str, str]]
"""Decoded query parameters in the order in which they are sent."""


class Replica(enum.Enum):
    """How much of a row an update carries: the changed columns, or the whole row with its old values."""

    DEFAULT = "default"
    FULL = "full"


class LogMode(enum.Enum):
    """Whether a log begins with a snapshot of the rows or holds changes only."""

    FULL = "full"
    CHANGES_ONLY = "changes_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeDefinition:
    """The identity of a shape as a client asks for it; two equal definitions are one log."""

    table: str
    """`name` or `schema.name`, quoted where Postgres would need it."""
    where: str | None = None
    """A filter over the table's columns; None and only None means no filter."""
    params: tuple[str, ...] = ()
    """Values of `$1`, `$2`, ... of the filter, as Postgres text."""
    columns: tuple[str, ...] | None = None
    """Column names, unquoted; None asks for every column that the server offers."""
    replica: Replica = Replica.DEFAULT
    log: LogMode = LogMode.FULL

    def __post_init__(self) -> None:
        """Refuse what would silently widen the shape. Raises MalformedIdentifier or ValueError."""
        parse_table(self.table)
        if self.where is not None and not self.where.strip():
            raise ValueError("where is empty: leave it out to ask for every row")
        if self.columns is not None and not self.columns:
            raise ValueError("columns is empty: leave it out to ask for every column")
        if self.columns is not None:
            parse_columns(print_columns(self.columns))

    def to_query(self) -> QueryPairs:
        """Print the definition as query parameters; defaults are left out."""
        pairs: QueryPairs = [(names.TABLE, self.table)]
        if self.where is not None:
            pairs.append((names.WHERE, self.where))
        pairs += [(names.param(index), value) for index, value in enumerate(self.params, start=1)]
        if self.columns is not None:
            pairs.append((names.COLUMNS, print_columns(self.columns)))
        if self.replica is not Replica.DEFAULT:
            pairs.append((names.REPLICA, self.replica.value))
        if self.log is not LogMode.FULL:
            pairs.append((names.LOG, self.log.value))
        return pairs

    def fingerprint(self) -> str:
        """Name the definition by 64 hexadecimal digits; equal definitions have equal names."""
        return hashlib.sha256(json.dumps(self.to_query()).encode()).hexdigest()
