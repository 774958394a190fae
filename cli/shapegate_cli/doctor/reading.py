"""Reads what Postgres says of itself; any role that may connect sees all of it."""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_cli.doctor.facts import Facts, Guarded, Publication, Role, RowPolicy, Server, Slot
from shapegate_proxy.agreement import type_names
from shapegate_proxy.catalogue_reader import read_catalogue
from shapegate_wire.identifier import TableName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import datetime

    from shapegate_cli.doctor.facts import Names
    from shapegate_proxy.policy import Policy

CONNECT_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 5.0

_SESSION: Final = {
    "application_name": "shapegate-doctor",
    # As Electric prints values (PROTOCOL 3.8).
    "DateStyle": "ISO",
    "TimeZone": "UTC",
    "IntervalStyle": "iso_8601",
    "bytea_output": "hex",
}
_SERVER: Final = """
SELECT current_setting('server_version_num')::int AS version, current_setting('wal_level') AS wal_level,
  current_setting('max_replication_slots')::int AS slots_max,
  current_setting('max_wal_senders')::int AS senders_max, pg_is_in_recovery() AS is_standby
"""
_ROLES: Final = """
SELECT rolname, rolsuper, rolreplication, rolbypassrls, rolcanlogin
FROM pg_catalog.pg_roles WHERE rolname = ANY($1::text[])
"""
_SLOTS: Final = """
SELECT slot_name, database = current_database() AS is_here, active,
  coalesce(wal_status, 'lost') AS wal_status,
  greatest(coalesce(pg_wal_lsn_diff(
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn
  ), 0), 0)::int8 AS retained_bytes
FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' ORDER BY slot_name
"""
_PUBLICATION: Final = """
SELECT pubinsert AS insert, pubupdate AS update, pubdelete AS delete, pubtruncate AS truncate
FROM pg_catalog.pg_publication WHERE pubname = $1
"""
# The view names the partitions where it does not publish by their root; the root was added all the same.
_PUBLISHED: Final = """
SELECT schemaname AS nspname, tablename AS relname FROM pg_catalog.pg_publication_tables WHERE pubname = $1
UNION
SELECT n.nspname, c.relname FROM pg_catalog.pg_publication AS p
JOIN pg_catalog.pg_publication_rel AS r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class AS c ON c.oid = r.prrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.pubname = $1
"""
_GUARDED: Final = """
SELECT n.nspname, c.relname, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
  coalesce(pg_has_role(a.oid, c.relowner, 'MEMBER'), false) AS app_owns,
  ARRAY(
    SELECT r FROM unnest($4::text[]) AS r
    WHERE CASE WHEN r IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
      THEN has_any_column_privilege(a.oid, c.oid, r) ELSE has_table_privilege(a.oid, c.oid, r) END
  )::text[] AS app_rights,
  coalesce(pg_has_role(e.oid, c.relowner, 'MEMBER'), false) AS electric_owns,
  ARRAY(
    SELECT t.attname FROM pg_catalog.pg_attribute AS t
    WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
      AND NOT coalesce(has_column_privilege(e.oid, c.oid, t.attnum, 'SELECT'), true)
    ORDER BY t.attnum
  )::text[] AS electric_unreadable
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_roles AS a ON a.rolname = $2
LEFT JOIN pg_catalog.pg_roles AS e ON e.rolname = $3
WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY($1::text[])
"""
_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_POLICIES: Final = """
SELECT n.nspname, c.relname, p.polname, p.polpermissive,
  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
    ELSE 'ALL' END AS verb,
  array_remove(ARRAY[pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)], NULL) AS conditions,
  ARRAY(
    SELECT a.attname FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid AND d.refobjsubid > 0
      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
  )::text[] AS columns
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND EXISTS (
  SELECT FROM unnest(p.polroles) AS r (id)
  WHERE r.id = 0 OR pg_has_role((SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $2), r.id, 'USAGE')
)
ORDER BY p.polname
"""


class DatabaseSilent(Exception):
    """The database does not answer, or not to this role; the text says so without the URL."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of a connection, and those that Postgres tells, into DatabaseSilent."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise DatabaseSilent(f"it cannot be read ({type(exc).__name__})") from exc


@asynccontextmanager
async def open_database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect for the length of the block. Raises DatabaseSilent if there is no connection."""
    try:
        connection = await asyncpg.connect(
            database_url,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=_SESSION,
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        # Errors of the URL can quote it, and with it a password.
        told = f": {exc}" if isinstance(exc, asyncpg.PostgresError) else ""
        raise DatabaseSilent(f"it cannot be connected to ({type(exc).__name__}{told})") from exc
    try:
        yield connection
    finally:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=CLOSE_SECONDS)


async def clock_offset_seconds(connection: asyncpg.Connection, clock: Callable[[], datetime]) -> float:
    """Say by how much the server's clock is ahead of ours. Raises DatabaseSilent."""
    with translated():
        began = clock()
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        ended = clock()
    return (now - (began + (ended - began) / 2)).total_seconds()


async def read_facts(connection: asyncpg.Connection, policy: Policy, names: Names) -> Facts:
    """Read all that is judged. Raises DatabaseSilent."""
    with translated():
        return await _read_facts(connection, policy, names)


async def _read_facts(connection: asyncpg.Connection, policy: Policy, names: Names) -> Facts:
    schemas = sorted({table.schema for table in (*policy.tables, *policy.lookups)})
    catalogue = await read_catalogue(connection, schemas=schemas, type_names=type_names(policy))
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        server = await connection.fetchrow(_SERVER)
        assert server is not None, "a SELECT without a table has one row"
        return Facts(
            server=Server(**server),
            roles=await _roles(connection, names),
            slots=await _slots(connection),
            publication=await _publication(connection, names),
            guarded=await _guarded(connection, policy, schemas, names),
            catalogue=catalogue,
        )


async def _roles(connection: asyncpg.Connection, names: Names) -> dict[str, Role]:
    found = await connection.fetch(_ROLES, [names.app_role, names.electric_role])
    return {
        row["rolname"]: Role(
            superuser=row["rolsuper"],
            replicates=row["rolreplication"],
            bypasses_rls=row["rolbypassrls"],
            logs_in=row["rolcanlogin"],
        )
        for row in found
    }


async def _slots(connection: asyncpg.Connection) -> tuple[Slot, ...]:
    return tuple(
        Slot(
            name=row["slot_name"],
            is_here=row["is_here"],
            active=row["active"],
            wal_status=row["wal_status"],
            retained_bytes=row["retained_bytes"],
        )
        for row in await connection.fetch(_SLOTS)
    )


async def _publication(connection: asyncpg.Connection, names: Names) -> Publication | None:
    found = await connection.fetchrow(_PUBLICATION, names.publication)
    if found is None:
        return None
    published = await connection.fetch(_PUBLISHED, names.publication)
    return Publication(
        verbs=frozenset(verb for verb, is_sent in found.items() if is_sent),
        tables=frozenset(_table(row) for row in published),
    )


async def _guarded(
    connection: asyncpg.Connection, policy: Policy, schemas: list[str], names: Names
) -> dict[TableName, Guarded]:
    policies: dict[TableName, list[RowPolicy]] = defaultdict(list)
    for row in await connection.fetch(_POLICIES, schemas, names.app_role):
        policies[_table(row)].append(
            RowPolicy(
                name=row["polname"],
                verb=row["verb"],
                permissive=row["polpermissive"],
                conditions=tuple(row["conditions"]),
                columns=frozenset(row["columns"]),
            )
        )
    found = await connection.fetch(_GUARDED, schemas, names.app_role, names.electric_role, _RIGHTS)
    return {
        _table(row): Guarded(
            enabled=row["enabled"],
            forced=row["forced"],
            app_owns=row["app_owns"],
            app_rights=frozenset(row["app_rights"]),
            electric_owns=row["electric_owns"],
            electric_unreadable=tuple(row["electric_unreadable"]),
            policies=tuple(policies[_table(row)]),
        )
        for row in found
        if _table(row) in policy.tables
    }


def _table(row: asyncpg.Record) -> TableName:
    return TableName(schema=row["nspname"], name=row["relname"])
