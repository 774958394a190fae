"""What Postgres' catalogue says of a table, and whether its changes are published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.electric.errors import Failed, rejected
from shapegate_harness.electric.relation import Partition, Relation, RelationColumn
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
# PostgreSQL 18 can publish stored generated columns, and must if a table with such a column and the whole row
# as its identity is to be updated. What is published comes with the rows, like any other column.
_COLUMNS: Final = """
    SELECT a.attname AS name, a.atttypid::int8 AS type_oid, a.atttypmod AS type_mod,
           COALESCE(e.typname, t.typname) AS type_name, format_type(a.atttypid, a.atttypmod) AS sql_type,
           CASE WHEN e.oid IS NULL THEN 0 ELSE greatest(a.attndims, 1) END AS dims,
           a.attnotnull AS not_null,
           a.attgenerated <> '' AND NOT EXISTS (
               SELECT FROM pg_publication_tables p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
               AND a.attname = ANY(p.attnames)
           ) AS generated,
           array_position(i.indkey::int2[], a.attnum) AS pk_index
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_PARTITIONS: Final = """
    SELECT root.oid AS root, part.relid::oid::int8 AS oid,
           ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = part.relid AND a.attnum > 0
                 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) AS columns
    FROM unnest($1::int8[]) AS root(oid), pg_partition_tree(root.oid::oid::regclass) AS part
    WHERE part.isleaf AND part.relid::oid::int8 <> root.oid
    ORDER BY part.relid::oid
"""
# A partitioned table is published, and writes old rows, where its partitions do.
_PUBLISHED: Final = """
    SELECT n.nspname AS schema, c.relname AS name, c.relreplident = 'f' AS identity_full,
           EXISTS (SELECT FROM pg_publication_tables p WHERE p.pubname = $2
                   AND p.schemaname = n.nspname AND p.tablename = c.relname) AS published,
           c.relispartition AND (SELECT pubviaroot FROM pg_publication WHERE pubname = $2) AS via_root
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid::int8 = ANY($1::int8[])
    ORDER BY c.oid
"""
_NOW: Final = """
    SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name,
           ARRAY(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY k.place) AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.oid::int8 = ANY($1::int8[])
"""


def unknown_table(table: TableName) -> Exception:
    """Make Electric's refusal of a table that is not there."""
    return rejected(
        names.TABLE,
        f"Table {table.to_sql()} does not exist. If the table name contains capitals or special "
        "characters you must quote it.",
    )


async def look_up(connection: Connection, table: TableName) -> Relation:
    """Describe a table. Raises Rejected if there is none of that name."""
    found = await connection.fetchrow(_RELATION, table.schema, table.name)
    if found is None:
        raise unknown_table(table)
    if table.schema == "pg_catalog":
        raise Failed(
            f'Unexpected error while creating snapshot: cannot add relation "{table.name}" to publication'
        )
    oid, partitions = found["oid"], None
    if found["kind"] == "p":
        partitions = (await partitions_now(connection, (oid,)))[oid]
    rows = await connection.fetch(_COLUMNS, oid)
    return Relation(
        oid=oid,
        table=table,
        columns=tuple(_column(row) for row in rows if not row["generated"]),
        generated=tuple(row["name"] for row in rows if row["generated"]),
        partitions=partitions,
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


async def tables_now(
    connection: Connection, oids: Iterable[int]
) -> dict[int, tuple[TableName, tuple[str, ...]]]:
    """Name the tables that still exist, by oid, each with the columns of its primary key."""
    rows = await connection.fetch(_NOW, list(oids))
    return {row["oid"]: (TableName(row["schema"], row["name"]), tuple(row["key"])) for row in rows}


async def partitions_now(connection: Connection, oids: Iterable[int]) -> dict[int, tuple[Partition, ...]]:
    """List what holds the rows of partitioned tables, by their oid; nothing for one that is gone."""
    found: dict[int, tuple[Partition, ...]] = dict.fromkeys(oids, ())
    for row in await connection.fetch(_PARTITIONS, list(found)) if found else ():
        found[row["root"]] += (Partition(oid=row["oid"], columns=tuple(row["columns"])),)
    return found


async def publish(connection: Connection, relation: Relation, publication: str) -> None:
    """See to it that the table's changes are published with their old rows.

    Nothing is changed where that is so already: this is how a role that owns nothing works. Raises Failed
    with what to run if it is not so and the role may not change it.
    """
    oids = [relation.oid]
    if relation.partitions is not None:
        oids = [part.oid for part in relation.partitions]
    parts = await connection.fetch(_PUBLISHED, oids, publication)
    if len(parts) < len(oids):
        raise unknown_table(relation.table)
    table = relation.table.to_sql()
    if any(part["via_root"] for part in parts):
        raise Failed(
            f"Publication {quote(publication)} publishes partitions under the name of their root, so those "
            f"of {table} cannot be told apart. As the owner run: ALTER PUBLICATION {quote(publication)} "
            "SET (publish_via_partition_root = false)"
        )
    unlike = [TableName(part["schema"], part["name"]) for part in parts if not part["identity_full"]]
    published = all(part["published"] for part in parts)
    if published and not unlike:
        return
    # The lock waits for every writer of the table. One that began before the table was published would
    # otherwise commit later without its changes being decoded.
    lock = f"LOCK TABLE {relation.scope} IN SHARE ROW EXCLUSIVE MODE"
    change = [f"ALTER TABLE ONLY {each.to_sql()} REPLICA IDENTITY FULL" for each in unlike]
    if not published:
        change.append(f"ALTER PUBLICATION {quote(publication)} ADD TABLE ONLY {table}")
    try:
        async with connection.transaction(readonly=False):
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute("; ".join((lock, *change)))
    except asyncpg.DuplicateObjectError:
        return  # Somebody else published it meanwhile.
    except asyncpg.InsufficientPrivilegeError as exc:
        raise Failed(
            f"The changes of table {table} are not published with their old rows, and this role may not "
            f"change that. As the owner run: {'; '.join(change)}"
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
