"""A table as a shape sees it: columns, key, and the `electric-schema` header (PROTOCOL 3.9). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_harness.electric.decoder import PublishedRelation
    from shapegate_wire.identifier import TableName

_VARIABLE_HEADER_BYTES: Final = 4
_TIMES: Final = frozenset({"time", "timetz", "timestamp", "timestamptz"})
_INTERVAL_FIELDS: Final = {
    1 << 2: "YEAR",
    1 << 1: "MONTH",
    1 << 3: "DAY",
    1 << 10: "HOUR",
    1 << 11: "MINUTE",
    1 << 12: "SECOND",
}
"""Bits of an interval's type modifier in the order of the fields (Postgres: datetime.h, INTERVAL_MASK)."""
_INTERVAL_FULL_RANGE: Final = 0x7FFF
_INTERVAL_FULL_PRECISION: Final = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationColumn:
    """A published column, as the catalogue knows it."""

    name: str
    type_oid: int
    type_mod: int
    type_name: str
    """Postgres' internal name; of the elements where `dims` is not 0."""
    sql_type: str
    """The type as SQL writes it, modifier and quotes included."""
    dims: int = 0
    not_null: bool = False
    pk_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A table that holds rows of a partitioned one, and whose name its changes come under."""

    oid: int
    columns: tuple[str, ...]
    """Its published columns, in its own order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table; `columns` leaves generated ones out, which Postgres does not publish."""

    oid: int
    table: TableName
    columns: tuple[RelationColumn, ...]
    generated: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] | None = None
    """All that hold rows, by oid; None if the table is not partitioned."""

    @property
    def scope(self) -> str:
        """The table as FROM and LOCK take it: with its partitions, without tables that inherit from it."""
        return self.table.to_sql() if self.partitions is not None else f"ONLY {self.table.to_sql()}"

    @property
    def names(self) -> tuple[str, ...]:
        """All published columns in table order."""
        return tuple(column.name for column in self.columns)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The key columns in key order; empty where the table has no primary key."""
        keyed = sorted((c.pk_index, c.name) for c in self.columns if c.pk_index is not None)
        return tuple(name for _, name in keyed)

    def matches(self, published: PublishedRelation) -> bool:
        """Tell whether the stream's rows still are rows of this table as it was looked up."""
        mine = [(column.name, column.type_oid, column.type_mod) for column in self.columns]
        theirs = [(column.name, column.type_oid, column.type_mod) for column in published.columns]
        same_name = (published.schema, published.name) == (self.table.schema, self.table.name)
        return same_name and published.identity_full and mine == theirs

    def schema_header(self, selected: tuple[str, ...]) -> str:
        """Print the selected columns and their types, by name."""
        described = {c.name: _describe(c) for c in self.columns if c.name in selected}
        return json.dumps(dict(sorted(described.items())), separators=(",", ":"))


def _describe(column: RelationColumn) -> dict[str, object]:
    described: dict[str, object] = {"type": column.type_name}
    if column.dims:
        described["dims"] = column.dims
    if column.not_null:
        described["not_null"] = True
    if column.pk_index is not None:
        described["pk_index"] = column.pk_index
    return described | _modifiers(column)


def _modifiers(column: RelationColumn) -> dict[str, object]:
    """Read the type modifier as the type means it."""
    name, modifier = column.type_name, column.type_mod
    if name in ("bit", "varbit"):
        return {"length": modifier}
    if modifier < 0:
        return {}
    if name == "varchar":
        return {"max_length": modifier - _VARIABLE_HEADER_BYTES}
    if name == "bpchar":
        return {"length": modifier - _VARIABLE_HEADER_BYTES}
    if name in _TIMES:
        return {"precision": modifier}
    if name == "numeric":
        packed = modifier - _VARIABLE_HEADER_BYTES
        # The scale is an 11-bit signed number since Postgres 15.
        return {"precision": packed >> 16 & 0xFFFF, "scale": ((packed & 0x7FF) ^ 0x400) - 0x400}
    if name == "interval":
        return _interval(modifier)
    return {"type_mod": modifier}


def _interval(modifier: int) -> dict[str, object]:
    described: dict[str, object] = {}
    precision, bits = modifier & 0xFFFF, modifier >> 16 & 0x7FFF
    if precision != _INTERVAL_FULL_PRECISION:
        described["precision"] = precision
    if bits != _INTERVAL_FULL_RANGE:
        fields = [name for bit, name in _INTERVAL_FIELDS.items() if bits & bit]
        described["fields"] = " TO ".join(fields[:1] + fields[1:][-1:])
    return described
