"""What the steps of the scenario share: the stack, the sessions, and what was seen so far."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_client import IssuerCredentials, Session, ShapeDefinition
from shapegate_harness.scenario.checks import as_application, expect, expect_same, local_rows, rows_under_rls
from shapegate_harness.scenario.script import SCRIPTS
from shapegate_proxy.policy_file import parse_policy
from shapegate_schema.domains import policy_file
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack
    from pathlib import Path

    import sqlite_utils

    from shapegate_harness.scenario.recorder import Recorder
    from shapegate_harness.stack import Stack
    from shapegate_proxy.policy import TablePolicy

BOTH: Final = "ada@acme.example"
"""Belongs to both orgs; Acme is home."""
OTHER: Final = "grace@globex.example"
"""Belongs to Globex only."""
POLL_SECONDS: Final = 0.01


class Scene:
    """What the steps share; `begin` has to be awaited before the first one."""

    def __init__(self, stack: Stack, recorder: Recorder, folder: Path, resources: AsyncExitStack) -> None:
        self.stack = stack
        self.script = SCRIPTS[stack.addresses.domain]
        self.recorder = recorder
        self.folder = folder
        self.resources = resources
        policy = parse_policy(policy_file(stack.addresses.domain).read_text(encoding="utf-8"))
        self.tables = sorted(policy.tables.values(), key=lambda table: table.table)
        self.logins = {login.email: login for login in stack.addresses.logins}
        self.acme, self.globex = (self.logins[email].organization_id for email in (BOTH, OTHER))
        self.keys: dict[str, frozenset[str]] = {}
        """The names under which rows say whose they are, by org."""
        self.ada: Session
        self.grace: Session
        self.watching: list[asyncio.Task[None]] = []
        self.grace_saw = 0
        """Batches of the second user that were searched for foreign rows."""
        self.offline_row = ""
        self.offline_note = ""

    async def begin(self) -> None:
        """Learn the orgs' keys."""
        connection = await asyncpg.connect(self.stack.addresses.database_url)
        try:
            for org in (self.acme, self.globex):
                found = await connection.fetch(self.script.keys, org)
                self.keys[org] = frozenset(row[0] for row in found)
                expect(found, f"the org {org} has no keys: expected seeds")
        finally:
            await connection.close()

    async def log_in(self, email: str) -> Session:
        """Log a user in, in a home folder of their own; the session is closed at the end of the scenario."""
        addresses, home = self.stack.addresses, self.folder / email.partition("@")[0]
        credentials = await self.resources.enter_async_context(
            IssuerCredentials(addresses.issuer_url, home=home)
        )
        await credentials.login(email, self.logins[email].password)
        return await self.resources.enter_async_context(
            Session.open(addresses.proxy_url, credentials, home=home)
        )

    def tables_of(self, session: Session) -> tuple[TablePolicy, ...]:
        """List the tables that a user may sync in every org, so that a switch can go on with them."""
        roles = [organization.role for organization in session.principal.organizations]
        return tuple(table for table in self.tables if all(table.admits(role) for role in roles))

    async def subscribe_all(self, session: Session) -> None:
        """Subscribe every table and wait until all are up to date."""
        for table in self.tables_of(session):
            await session.subscribe(ShapeDefinition(table=table.table.name))
        await session.up_to_date(timeout=30)

    async def expect_equal(self, session: Session, org: str) -> int:
        """Compare every local table with what the application reads under RLS; return the number of rows."""
        rows, user = 0, session.principal.user_id
        async with as_application(self.stack.addresses.app_database_url, org, user) as connection:
            for table in self.tables_of(session):
                truth = await rows_under_rls(connection, table)
                expect(truth, f"{table.table}: no rows to compare in org {org}: expected seeds")
                expect_same(str(table.table), local_rows(session.db, table), truth)
                rows += len(truth)
        return rows

    def expect_only(self, db: sqlite_utils.Database, org: str) -> None:
        """Expect that every local row, of the tables that are there, is the org's. Raises Differs."""
        there = set(db.table_names())
        for table in (table for table in self.tables if table.table.name in there):
            columns = self.script.owners.get(table.table.name, ())
            if table.scope.org_column is not None:
                columns = (table.scope.org_column,)
            for row in local_rows(db, table).values() if columns else ():
                found = [row[column] for column in columns]
                own = self.keys[org].intersection(found)
                expect(own, f"{table.table} holds a row of {found}: expected those of org {org} only")

    async def change_row(self, org: str, note: str) -> str:
        """Change one row as the application does, and commit; return its id."""
        table, column = quote(self.script.table), quote(self.script.column)
        async with as_application(self.stack.addresses.app_database_url, org) as connection:
            changed: str = await connection.fetchval(
                f"UPDATE {table} SET {column} = $1 "  # noqa: S608  # quoted
                f"WHERE id = (SELECT min(id::text)::uuid FROM {table}) RETURNING id::text",
                note,
            )
        return changed

    def note(self, session: Session, row_id: str) -> object:
        """Read what `change_row` wrote from the local file; None if the row is not there."""
        found = session.db.query(
            f"SELECT {quote(self.script.column)} AS note FROM {quote(self.script.table)} WHERE id = ?",  # noqa: S608  # quoted
            [row_id],
        )
        return next((row["note"] for row in found), None)


async def until(holds: Callable[[], bool]) -> float:
    """Wait until something holds; return the seconds it took. The step's own bound ends it."""
    started = time.monotonic()
    while not holds():  # noqa: ASYNC110  # a local file tells nobody that it changed
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - started
