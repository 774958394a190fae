"""Acting for an org in the seeded database, and what Postgres answers then."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]

ACME: Final = UUID("ac3e0000-0000-4000-8000-000000000000")
GLOBEX: Final = UUID("610b0000-0000-4000-8000-000000000000")
ORGS: Final = (ACME, GLOBEX)
ADA: Final = UUID("ac3e0001-0000-4000-8000-000000000001")
BEN: Final = UUID("ac3e0001-0000-4000-8000-000000000002")
HUGO: Final = UUID("610b0001-0000-4000-8000-000000000002")
SET_ORG: Final = "SELECT public.set_current_org_id($1)"
SET_USER: Final = "SELECT public.set_current_user_id($1)"


@contextlib.asynccontextmanager
async def acting_for(app: asyncpg.Connection, org: UUID, user: UUID | None = None) -> AsyncIterator[None]:
    """Run the block for an org, as a user if one is given, and undo what it wrote."""
    transaction = app.transaction()
    await transaction.start()
    try:
        await app.execute(SET_ORG, org)
        if user is not None:
            await app.execute(SET_USER, user)
        yield
    finally:
        await transaction.rollback()


def row_of(org: UUID, kind: str, number: int = 1) -> UUID:
    """The id of a seeded row: its org, the four digits of its table (seed.sql), its number."""
    return UUID(f"{str(org)[:4]}{kind}-0000-4000-8000-{number:012d}")


async def ids(connection: Connection, table: str, condition: str = "true", *args: object) -> set[UUID]:
    return {
        row["id"] for row in await connection.fetch(f"SELECT id FROM public.{table} WHERE {condition}", *args)
    }


async def refusal(
    app: asyncpg.Connection, org: UUID, statement: str, *args: object, user: UUID | None = None
) -> tuple[str, ...]:
    """All that Postgres says when it refuses a statement, with the statement's own values left out."""
    try:
        async with acting_for(app, org, user):
            done = await app.execute(statement, *args)
    except asyncpg.PostgresError as exc:
        told = [exc.sqlstate, *exc.args, *(str(getattr(exc, name, None)) for name in ("detail", "hint"))]
        for value in args:
            told = [str(text).replace(str(value), "$") for text in told]
        return tuple(told)
    raise AssertionError(f"not refused: {done}")
