"""What a database says of its tables, as far as a policy is concerned. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.identifier import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueColumn:
    """One column."""

    name: str
    type: str
    """Postgres' short name of it: `uuid`, `int8`, `timestamptz`, `text[]`."""
    type_id: int
    """The type's oid, which is the same for each of its names."""
    nullable: bool
    generated: bool
    collation: str | None
    """The name of its collation; None if the type has none or it is the database's own."""
    deterministic: bool
    """False if texts of different bytes can be equal to it (Postgres: nondeterministic collations)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueTable:
    """One table, or what stands where a table could."""

    table: TableName
    kind: str
    """`table`, `partitioned table`, `view`, `materialized view` or `foreign table`."""
    columns: Mapping[str, CatalogueColumn]
    key: tuple[str, ...]
    """The columns of the primary key; empty if there is none."""
    leading: frozenset[str]
    """The columns that some index begins with."""
    sends_old_rows: bool
    """Whether its replica identity is FULL, without which Electric follows no update."""
    references: Mapping[str, TableName]
    """The table that each column refers to, of those with a foreign key."""

    @property
    def is_synced_kind(self) -> bool:
        """Whether Electric syncs such a thing: views and foreign tables it does not (REQUIREMENTS S-08)."""
        return self.kind in ("table", "partitioned table")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All tables of some schemas, by name."""

    server_version: int
    """As `server_version_num` says: 180001 is 18.1."""
    tables: Mapping[TableName, CatalogueTable]
    type_ids: Mapping[str, int | None]
    """The oid of each type name that was asked for; None if the database has no such type."""

    @property
    def sends_generated_columns(self) -> bool:
        """Whether logical replication carries generated columns (Postgres 18 release notes)."""
        return self.server_version >= 180_000
