"""Reads the catalogue of a Postgres, as any role that may connect."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_proxy.catalogue import Catalogue, CatalogueColumn, CatalogueTable
from shapegate_wire.identifier import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECT_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 60.0

_KINDS: Final = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}

_TABLES: Final = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS relkind, c.relreplident::text AS relreplident
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname = ANY($1::text[])
ORDER BY n.nspname, c.relname
"""
_COLUMNS: Final = """
SELECT a.attrelid, a.attname, a.atttypid, NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated,
  CASE WHEN e.oid IS NULL THEN t.typname ELSE e.typname || '[]' END AS type,
  CASE WHEN l.collname = 'default' THEN NULL ELSE l.collname END AS collation,
  coalesce(l.collisdeterministic, true) AS deterministic
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""
_INDEXES: Final = """
SELECT i.indrelid, i.indisprimary,
  ARRAY(SELECT a.attname FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts ORDER BY k.place)::text[] AS columns
FROM pg_catalog.pg_index AS i
WHERE i.indrelid = ANY($1::oid[]) AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] <> 0
"""
_REFERENCES: Final = """
SELECT c.conrelid, a.attname, n.nspname, r.relname
FROM pg_catalog.pg_constraint AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
JOIN pg_catalog.pg_class AS r ON r.oid = c.confrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
WHERE c.contype = 'f' AND c.conrelid = ANY($1::oid[]) AND cardinality(c.conkey) = 1
"""
_TYPE: Final = "SELECT pg_catalog.to_regtype($1)::oid"


class CatalogueUnreachable(Exception):
    """The database does not answer, or not to this role; the text says which."""


async def fetch_catalogue(
    database_url: str, *, schemas: Iterable[str], type_names: Iterable[str] = ()
) -> Catalogue:
    """Connect, read every table of these schemas and disconnect. Raises CatalogueUnreachable."""
    try:
        connection = await asyncpg.connect(
            database_url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS
        )
        try:
            return await read_catalogue(connection, schemas=schemas, type_names=type_names)
        finally:
            await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        # Errors of the URL can quote it, and with it a password.
        told = f": {exc}" if isinstance(exc, asyncpg.PostgresError) else ""
        raise CatalogueUnreachable(
            f"the database cannot be read ({type(exc).__name__}{told}): check DATABASE_URL and the server"
        ) from exc


async def read_catalogue(
    connection: asyncpg.Connection, *, schemas: Iterable[str], type_names: Iterable[str] = ()
) -> Catalogue:
    """Read every table of these schemas, as one snapshot. Raises asyncpg.PostgresError."""
    type_ids = {name: await _type_id(connection, name) for name in sorted(set(type_names))}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        version = int(await connection.fetchval("SHOW server_version_num"))
        found = await connection.fetch(_TABLES, sorted(set(schemas)))
        ids = [row["oid"] for row in found]
        columns: dict[int, dict[str, CatalogueColumn]] = defaultdict(dict)
        for row in await connection.fetch(_COLUMNS, ids):
            columns[row["attrelid"]][row["attname"]] = CatalogueColumn(
                name=row["attname"],
                type=row["type"],
                type_id=row["atttypid"],
                nullable=row["nullable"],
                generated=row["generated"],
                collation=row["collation"],
                deterministic=row["deterministic"],
            )
        keys: dict[int, tuple[str, ...]] = {}
        leading: dict[int, set[str]] = defaultdict(set)
        for row in await connection.fetch(_INDEXES, ids):
            leading[row["indrelid"]].add(row["columns"][0])
            if row["indisprimary"]:
                keys[row["indrelid"]] = tuple(row["columns"])
        references: dict[int, dict[str, TableName]] = defaultdict(dict)
        for row in await connection.fetch(_REFERENCES, ids):
            target = TableName(schema=row["nspname"], name=row["relname"])
            references[row["conrelid"]][row["attname"]] = target
    tables = {
        TableName(schema=row["nspname"], name=row["relname"]): CatalogueTable(
            table=TableName(schema=row["nspname"], name=row["relname"]),
            kind=_KINDS[row["relkind"]],
            columns=columns[row["oid"]],
            key=keys.get(row["oid"], ()),
            leading=frozenset(leading[row["oid"]]),
            sends_old_rows=row["relreplident"] == "f",
            references=references[row["oid"]],
        )
        for row in found
    }
    return Catalogue(server_version=version, tables=tables, type_ids=type_ids)


async def _type_id(connection: asyncpg.Connection, name: str) -> int | None:
    """Ask for the oid of a type; None if there is no such type, or the name is none."""
    try:
        found = await connection.fetchval(_TYPE, name)
    except (asyncpg.PostgresSyntaxError, asyncpg.UndefinedObjectError, asyncpg.InvalidSchemaNameError):
        return None
    return None if found is None else int(found)
