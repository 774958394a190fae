"""The two tables that say what was applied: dbmate's, and ours with the checksums.

`public.schema_migrations(version)` is dbmate's own, so that dbmate can be run on the same folders:
`dbmate -d migrations -d domains/controls up`. It says what is applied. `public.shapegate_migrations` says
with which content. What dbmate applied is adopted: its files get their checksum written down at the next run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_schema.plan import Ledger, LedgerEntry

if TYPE_CHECKING:
    import asyncpg

    from shapegate_schema.migration import Migration

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    version varchar NOT NULL PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS public.shapegate_migrations (
    version text NOT NULL PRIMARY KEY,
    set_name text NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


async def create_ledger(connection: asyncpg.Connection) -> None:
    """Make both tables where they are absent."""
    await connection.execute(_CREATE)


async def read_ledger(connection: asyncpg.Connection) -> Ledger:
    """Read both tables; a table that is absent counts as empty, and nothing is written."""
    entries = []
    if await _exists(connection, "public.shapegate_migrations"):
        entries = await connection.fetch(
            "SELECT set_name, version, name, sha256 FROM public.shapegate_migrations ORDER BY version"
        )
    versions = []
    if await _exists(connection, "public.schema_migrations"):
        versions = await connection.fetch("SELECT version FROM public.schema_migrations")
    return Ledger(
        entries=tuple(
            LedgerEntry(
                set_name=row["set_name"], version=row["version"], name=row["name"], checksum=row["sha256"]
            )
            for row in entries
        ),
        dbmate_versions=frozenset(row["version"] for row in versions),
    )


async def record(connection: asyncpg.Connection, migration: Migration) -> None:
    """Write down that a file is applied; within the file's own transaction."""
    await connection.execute(
        "INSERT INTO public.schema_migrations (version) VALUES ($1) ON CONFLICT DO NOTHING", migration.version
    )
    await connection.execute(
        "INSERT INTO public.shapegate_migrations (version, set_name, name, sha256) VALUES ($1, $2, $3, $4)",
        migration.version,
        migration.set_name,
        migration.name,
        migration.checksum,
    )


async def _exists(connection: asyncpg.Connection, table: str) -> bool:
    found: bool = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
    return found
