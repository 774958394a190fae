"""Catalogues for the tests of drafts and comparisons."""

from __future__ import annotations

from shapegate_proxy.catalogue import Catalogue, CatalogueColumn, CatalogueTable
from shapegate_wire.identifier import TableName, parse_table

TYPE_IDS = {"uuid": 2950, "text": 25, "int8": 20, "citext": 90_001, "mood": 90_002, "timestamptz": 1184}


def column(
    name: str,
    type_: str = "text",
    *,
    nullable: bool = False,
    generated: bool = False,
    collation: str | None = None,
    deterministic: bool = True,
) -> CatalogueColumn:
    return CatalogueColumn(
        name=name,
        type=type_,
        type_id=TYPE_IDS.get(type_, 99_999),
        nullable=nullable,
        generated=generated,
        collation=collation,
        deterministic=deterministic,
    )


def table(
    name: str,
    *columns: CatalogueColumn,
    kind: str = "table",
    key: tuple[str, ...] = ("id",),
    leading: frozenset[str] = frozenset({"id", "organization_id"}),
    sends_old_rows: bool = True,
    references: dict[str, str] | None = None,
) -> CatalogueTable:
    return CatalogueTable(
        table=parse_table(name),
        kind=kind,
        columns={each.name: each for each in columns},
        key=key,
        leading=leading,
        sends_old_rows=sends_old_rows,
        references={name: parse_table(target) for name, target in (references or {}).items()},
    )


def items(**changes: object) -> CatalogueTable:
    """A table as a gate likes it."""
    columns = (column("id", "uuid"), column("organization_id", "uuid"), column("name"))
    return table("items", *columns, **changes)  # type: ignore[arg-type]  # each names one of its arguments


def catalogue(*tables: CatalogueTable, server_version: int = 160_004) -> Catalogue:
    named: dict[TableName, CatalogueTable] = {each.table: each for each in tables}
    return Catalogue(server_version=server_version, tables=named, type_ids=dict(TYPE_IDS))
