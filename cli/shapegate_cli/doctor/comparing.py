"""Compares, table by table, what a fresh client syncs through the gate with what RLS shows.

The client is the real one; its files lie in a folder of their own, which is removed at the end.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shapegate_cli.doctor.difference import differ, judge_difference, spell_key
from shapegate_cli.doctor.line import fail, ok, warning
from shapegate_cli.doctor.reading import DatabaseSilent
from shapegate_cli.doctor.visitors import NobodyThere
from shapegate_client import Session, ShapeDefinition
from shapegate_client.errors import ClientError, NotUpToDate, ShapeRefused, StoreError, SyncStopped
from shapegate_proxy.errors import TableNotAllowed
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from yarl import URL

    from shapegate_cli.doctor.acting import Application
    from shapegate_cli.doctor.difference import Difference, Key
    from shapegate_cli.doctor.line import Line
    from shapegate_cli.doctor.visitors import Visitor, Visitors
    from shapegate_proxy.catalogue import CatalogueTable
    from shapegate_proxy.policy import TablePolicy

SYNC_SECONDS: Final = 120.0
"""How long one table may take to be up to date; the first that takes longer is the last."""
LOOKS_MAX: Final = 3
"""How often both sides are looked at before a difference counts: rows may be written meanwhile."""
PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared, and where."""

    proxy_url: URL
    application: Application
    tables: Sequence[tuple[TablePolicy, CatalogueTable]]
    pause: Callable[[float], Awaitable[None]]
    sync_seconds: float

    async def compare(self, orgs: Sequence[str], visitors: Visitors) -> AsyncIterator[Line]:
        """Compare every table for somebody of each org; a table that never is up to date ends it all."""
        for org in orgs:
            try:
                async for line in self._compare_org(org, visitors):
                    yield line
            except NotUpToDate as exc:
                seen = f"{exc}; nothing further was compared"
                yield fail("agreement", org, seen, "see the gate's log, and Electric's")
                return

    async def _compare_org(self, org: str, visitors: Visitors) -> AsyncIterator[Line]:
        with tempfile.TemporaryDirectory(prefix="shapegate-doctor-") as folder:
            home = Path(folder) / "home"
            try:
                async with (
                    visitors.visitor(org, home) as visitor,
                    Session.open(str(self.proxy_url), visitor.credentials, home=home) as session,
                ):
                    async for line in self._compare_tables(session, visitor):
                        yield line
            except NobodyThere as exc:
                yield warning("agreement", org, f"not compared: {exc}", "see to it that somebody can log in")
            except NotUpToDate:
                raise
            except ClientError as exc:
                yield fail("agreement", org, f"not compared: {exc}", "see to the gate and the issuer")

    async def _compare_tables(self, session: Session, visitor: Visitor) -> AsyncIterator[Line]:
        rows = tables = 0
        for granted, table in self.tables:
            subject = f"{visitor.org} {granted.table}"
            if not granted.admits(visitor.role):
                yield await self._expect_refusal(session, granted, subject, visitor)
                continue
            try:
                difference, rows_seen = await self._compare_table(session, granted, table, visitor)
            except (SyncStopped, StoreError) as exc:
                yield fail("agreement", subject, str(exc), "see the gate's log, and Electric's")
                continue
            except DatabaseSilent as exc:
                seen = f"is synced, but as the application {exc}"
                yield fail("agreement", subject, seen, "GRANT SELECT, or leave the table out of the policy")
                continue
            finally:
                await _forget(session, granted)
            if difference:
                yield judge_difference(subject, difference)
            else:
                rows, tables = rows + rows_seen, tables + 1
        if tables:
            yield ok(
                "agreement", visitor.org, f"{tables} tables with {rows} rows are synced as RLS shows them"
            )

    async def _compare_table(
        self, session: Session, granted: TablePolicy, table: CatalogueTable, visitor: Visitor
    ) -> tuple[Difference, int]:
        """Return what differs for good, and how many rows the application sees."""
        definition = _definition(granted)
        await session.subscribe(definition)
        await session.up_to_date(timeout=self.sync_seconds)
        seen = await self.application.keys(table, visitor)
        difference = differ(seen, await _synced(session, definition, table))
        for _ in range(1, LOOKS_MAX):
            if not difference:
                break
            await self.pause(PAUSE_SECONDS)
            seen = await self.application.keys(table, visitor)
            difference = difference.lasting(differ(seen, await _synced(session, definition, table)))
        return difference, len(seen)

    async def _expect_refusal(
        self, session: Session, granted: TablePolicy, subject: str, visitor: Visitor
    ) -> Line:
        """See to it that the gate refuses a table that the policy keeps from the visitor's role."""
        try:
            await session.subscribe(_definition(granted))
            await session.up_to_date(timeout=self.sync_seconds)
        except ShapeRefused as exc:
            if exc.code == TableNotAllowed.code:
                return warning(
                    "agreement",
                    subject,
                    f"not compared: the policy keeps it from {visitor.role}, and the gate does too",
                    f"give a token of {' or '.join(sorted(granted.roles or ()))}",
                )
            return fail("agreement", subject, str(exc), "see the gate's log")
        finally:
            await _forget(session, granted)
        seen = f"is synced by {visitor.role}, from whom the policy keeps it"
        return fail("agreement", subject, seen, "restart the gate with this policy")


async def _synced(session: Session, definition: ShapeDefinition, table: CatalogueTable) -> frozenset[Key]:
    """Read the keys that the client holds."""
    name = next(shape.name for shape in await session.stored() if shape.definition == definition)
    columns = ", ".join(map(quote, table.key))
    types = tuple(table.columns[name].type for name in table.key)
    statement = f"SELECT {columns} FROM {quote(name)}"  # noqa: S608  # quoted
    return frozenset(spell_key(row, types) for row in session.db.execute(statement))


async def _forget(session: Session, granted: TablePolicy) -> None:
    """Stop to follow a table, so that the next one is waited for alone."""
    if _definition(granted) in session.subscriptions:
        await session.unsubscribe(granted.table.to_sql())


def _definition(granted: TablePolicy) -> ShapeDefinition:
    """Ask as clients do, so that the shape is theirs and none is added to Electric."""
    return ShapeDefinition(table=granted.table.to_sql())
