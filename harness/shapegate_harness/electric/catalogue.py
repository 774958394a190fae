"""What Postgres' catalogue says of a table, and whether its changes are published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.errors import Failed, rejected
from shapegate_harness.electric.relation import Relation, RelationColumn
from shapegate_wire import names
from shapegate_wire.identifier import TableName, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapegate_harness.electric.database import Connection

_RELATION: Final = """
    SELECT c.oid::int8 AS oid, c.relkind::text AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
"""
_COLUMNS: Final = """
    SELECT a.attname AS name, a.atttypid::int8 AS type_oid, a.atttypmod AS type_mod,
           COALESCE(e.typname, t.typname) AS type_name, format_type(a.atttypid, a.atttypmod) AS sql_type,
           CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims, 1) END AS dims,
           a.attnotnull AS not_null, a.attgenerated <> '' AS generated,
           array_position(i.indkey::int2[], a.attnum) AS pk_index
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_PUBLISHED: Final = """
    SELECT c.relreplident = 'f' AS identity_full,
           EXISTS (SELECT FROM pg_publication_tables p WHERE p.pubname = $2
                   AND p.schemaname = n.nspname AND p.tablename = c.relname) AS published
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::int8::oid
"""
_NAMES: Final = """
    SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid::int8 = ANY($1::int8[])
"""


def unknown_table(table: TableName) -> Exception:
    """Make Electric's refusal of a table that is not there."""
    return rejected(
        names.TABLE,
        f"Table {table.to_sql()} does not exist. If the table name contains capitals or special "
        "characters you must quote it.",
    )


async def look_up(connection: Connection, table: TableName) -> Relation:
    """Describe an ordinary table. Raises Rejected if there is none of that name, or a partitioned one."""
    found = await connection.fetchrow(_RELATION, table.schema, table.name)
    if found is None:
        raise unknown_table(table)
    if table.schema == "pg_catalog":
        raise Failed(
            f'Unexpected error while creating snapshot: cannot add relation "{table.name}" to publication'
        )
    if found["kind"] == "p":
        raise rejected(
            names.TABLE,
            f"Table {table.to_sql()} is partitioned, which is not supported by this development server yet",
        )
    rows = await connection.fetch(_COLUMNS, found["oid"])
    return Relation(
        oid=found["oid"],
        table=table,
        columns=tuple(_column(row) for row in rows if not row["generated"]),
        generated=tuple(row["name"] for row in rows if row["generated"]),
    )


def _column(row: asyncpg.Record) -> RelationColumn:
    return RelationColumn(
        name=row["name"],
        type_oid=row["type_oid"],
        type_mod=row["type_mod"],
        type_name=row["type_name"],
        sql_type=row["sql_type"],
        dims=row["dims"],
        not_null=row["not_null"],
        pk_index=row["pk_index"],
    )


async def tables_now(connection: Connection, oids: Iterable[int]) -> dict[int, TableName]:
    """Name the tables that still exist, by oid."""
    rows = await connection.fetch(_NAMES, list(oids))
    return {row["oid"]: TableName(row["schema"], row["name"]) for row in rows}


async def publish(connection: Connection, relation: Relation, publication: str) -> None:
    """See to it that the table's changes are published with their old rows.

    Nothing is changed where that is so already: this is how a role that owns nothing works. Raises Failed
    with what to run if it is not so and the role may not change it.
    """
    state = await connection.fetchrow(_PUBLISHED, relation.oid, publication)
    if state is None:
        raise unknown_table(relation.table)
    if state["published"] and state["identity_full"]:
        return
    table = relation.table.to_sql()
    # Either statement first takes a lock that waits for every writer of the table. A writer that began before
    # the table was published would otherwise commit later without its changes being decoded.
    fence = (
        f"LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE"
        if state["identity_full"]
        else f"ALTER TABLE ONLY {table} REPLICA IDENTITY FULL"
    )
    add = "" if state["published"] else f"ALTER PUBLICATION {quote(publication)} ADD TABLE ONLY {table}"
    try:
        async with connection.transaction(readonly=False):
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute(fence)
            if add:
                await connection.execute(add)
    except asyncpg.DuplicateObjectError:
        return  # Somebody else published it meanwhile.
    except asyncpg.InsufficientPrivilegeError as exc:
        todo = "; ".join(filter(None, (f"ALTER TABLE {table} REPLICA IDENTITY FULL", add)))
        raise Failed(
            f"The changes of table {table} are not published with their old rows, and this role may not "
            f"change that. As the owner run: {todo}"
        ) from exc


async def create_publication(connection: Connection, publication: str) -> None:
    """See to it that the publication exists. Raises Failed with what to run if it cannot be made."""
    if await connection.fetchval("SELECT true FROM pg_publication WHERE pubname = $1", publication):
        return
    try:
        async with connection.transaction(readonly=False):
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute(f"CREATE PUBLICATION {quote(publication)}")
    except asyncpg.DuplicateObjectError:
        return
    except asyncpg.InsufficientPrivilegeError as exc:
        raise Failed(
            f"There is no publication {quote(publication)} and this role may not create it. As the owner of "
            f"the database run: CREATE PUBLICATION {quote(publication)}"
        ) from exc
