"""Reads as the application does: under row-level security, in the context of a principal."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_cli.doctor.difference import spell_key
from shapegate_cli.doctor.line import fail, warning
from shapegate_cli.doctor.reading import open_database, translated
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_cli.doctor.difference import Key
    from shapegate_cli.doctor.facts import Names
    from shapegate_cli.doctor.line import Line
    from shapegate_cli.doctor.visitors import Visitor
    from shapegate_proxy.catalogue import CatalogueTable
    from shapegate_wire.identifier import TableName

ORGS_MAX: Final = 1_000
"""Of the orgs that are compared at once; more have to be named, a few at a time."""
ROWS_AHEAD: Final = 10_000
"""Keys that Postgres sends at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A connection that may act as the application's role."""

    connection: asyncpg.Connection
    acts_as: str | None
    """The role to act as; None if the connection is the application's own."""
    names: Names

    async def keys(self, table: CatalogueTable, visitor: Visitor) -> frozenset[Key]:
        """Read the key of every row that the application sees. Raises DatabaseSilent."""
        columns = ", ".join(f"{quote(name)}::text" for name in table.key)
        types = tuple(table.columns[name].type for name in table.key)
        statement = f"SELECT {columns} FROM {table.table.to_sql()}"  # noqa: S608  # quoted
        context = {self.names.org_setting: visitor.org, self.names.user_setting: visitor.user}
        with translated():
            async with self.connection.transaction(readonly=True):
                if self.acts_as is not None:
                    await self.connection.execute(f"SET LOCAL ROLE {quote(self.acts_as)}")
                for setting, value in context.items():
                    await self.connection.execute("SELECT set_config($1, $2, true)", setting, value)
                rows = self.connection.cursor(statement, prefetch=ROWS_AHEAD)
                return frozenset([spell_key(tuple(row), types) async for row in rows])


@asynccontextmanager
async def open_application(
    database_url: str | None, connection: asyncpg.Connection, names: Names
) -> AsyncIterator[Application | Line]:
    """Connect as the application, or act as it on a connection that may; else say why not."""
    if database_url is None:
        if await _may_act_as(connection, names.app_role):
            yield Application(connection=connection, acts_as=names.app_role, names=names)
            return
        seen = f"not compared: this role may not act as {names.app_role}"
        yield warning("agreement", "sync and RLS", seen, "give --app-database-url, or APP_DATABASE_URL")
        return
    async with open_database(database_url) as own:
        with translated():
            user = await own.fetchval("SELECT current_user")
        if user == names.app_role:
            yield Application(connection=own, acts_as=None, names=names)
            return
        seen = f"the application's URL is of the role {user}: expected {names.app_role}, which was looked at"
        yield fail("agreement", "sync and RLS", f"not compared: {seen}", "name it by --app-role")


async def read_orgs(connection: asyncpg.Connection, table: tuple[TableName, str] | None) -> tuple[str, ...]:
    """Read the ids of the orgs, one more than there may be; none where the role sees none."""
    if table is None:
        return ()
    name, key = table
    statement = f"SELECT {quote(key)}::text FROM {name.to_sql()} ORDER BY 1 LIMIT {ORGS_MAX + 1}"  # noqa: S608  # quoted
    with translated():
        try:
            return tuple(row[0] for row in await connection.fetch(statement))
        except asyncpg.InsufficientPrivilegeError:
            return ()


async def _may_act_as(connection: asyncpg.Connection, role: str) -> bool:
    """Ask whether SET ROLE would be allowed; False where there is no such role."""
    with translated():
        found = "SELECT pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles WHERE rolname = $1"
        return bool(await connection.fetchval(found, role))
