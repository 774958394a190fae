"""Apply migrations: one run at a time, each file in one transaction together with its ledger rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_schema.connection import ADVISORY_LOCK_KEY, LOCK_SECONDS, open_connection, postgres_text
from shapegate_schema.domains import migration_sets
from shapegate_schema.errors import (
    MigrationError,
    MigrationFailed,
    MigrationLockBusy,
    MigrationsRefused,
    TransactionEnded,
)
from shapegate_schema.ledger import create_ledger, read_ledger, record
from shapegate_schema.migration import line_of
from shapegate_schema.plan import Plan, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shapegate_schema.migration import Migration
    from shapegate_schema.plan import MigrationSet

__all__ = ["MigrationApplied", "MigrationError", "apply_sets", "migrate", "status"]

_LOCK_TIMEOUT: Final = "SELECT set_config('lock_timeout', $1, false)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationApplied:
    """A file was applied and committed."""

    version: str
    file: str
    """The set and the file name, `shared/20261121000100_roles.sql`."""
    seconds: float


async def migrate(
    database_url: str,
    domain: str = "controls",
    on_applied: Callable[[MigrationApplied], None] | None = None,
    *,
    on_waiting: Callable[[], None] | None = None,
    lock_seconds: float = LOCK_SECONDS,
) -> tuple[str, ...]:
    """Bring a database to the newest schema of a domain; return the versions applied now, in order.

    Idempotent. `database_url` is the owner's or a superuser's. `on_applied` hears of each file once it is
    committed, `on_waiting` once if another run holds the lock, which is waited for `lock_seconds`.
    Raises MigrationsRefused, MigrationFailed, MigrationLockBusy, and what open_connection raises.
    """
    return await apply_sets(
        database_url,
        migration_sets(domain),
        on_applied=on_applied,
        on_waiting=on_waiting,
        lock_seconds=lock_seconds,
    )


async def apply_sets(
    database_url: str,
    sets: Sequence[MigrationSet],
    *,
    on_applied: Callable[[MigrationApplied], None] | None = None,
    on_waiting: Callable[[], None] | None = None,
    lock_seconds: float = LOCK_SECONDS,
) -> tuple[str, ...]:
    """Do for any sets of files, in the order given, what `migrate` does for a shipped domain."""
    async with open_connection(database_url) as connection:
        await _lock(connection, lock_seconds, on_waiting)
        await create_ledger(connection)
        planned = plan(sets, await read_ledger(connection))
        if planned.problems:
            raise MigrationsRefused([str(problem) for problem in planned.problems])
        async with connection.transaction():
            for migration in planned.adopted:
                await record(connection, migration)
        for migration in planned.pending:
            started = time.monotonic()
            await _apply(connection, migration)
            if on_applied is not None:
                seconds = time.monotonic() - started
                on_applied(MigrationApplied(version=migration.version, file=migration.label, seconds=seconds))
        # Closing the session would do, but a moment after we have returned.
        await connection.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK_KEY)
    return tuple(migration.version for migration in planned.pending)


async def status(database_url: str, domain: str = "controls") -> Plan:
    """Say what is applied, what is pending and what is wrong, without writing anything."""
    sets = migration_sets(domain)
    async with open_connection(database_url) as connection:
        return plan(sets, await read_ledger(connection))


async def _lock(
    connection: asyncpg.Connection, lock_seconds: float, on_waiting: Callable[[], None] | None
) -> None:
    if await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK_KEY):
        return
    if on_waiting is not None:
        on_waiting()
    # Zero would mean no bound at all.
    await connection.execute(_LOCK_TIMEOUT, f"{max(1, round(lock_seconds * 1000))}ms")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK_KEY)
    except asyncpg.LockNotAvailableError as exc:
        raise MigrationLockBusy(
            f"another run has held the migration lock of this database for {lock_seconds:g} s; "
            "let it finish, or end its session (application_name shapegate-schema in pg_stat_activity)"
        ) from exc
    await connection.execute(_LOCK_TIMEOUT, f"{LOCK_SECONDS:.0f}s")


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            if not connection.is_in_transaction():
                raise TransactionEnded(
                    f"{migration.label}: it ended the runner's transaction, so what stands before that is "
                    "applied; remove the statement and undo that part by hand"
                )
            await record(connection, migration)
    except asyncpg.PostgresConnectionError:
        # The file is not at fault; open_connection says what happened.
        raise
    except asyncpg.PostgresError as exc:
        raise MigrationFailed(
            file=migration.label, line=line_of(migration, exc.position), message=postgres_text(exc)
        ) from exc
