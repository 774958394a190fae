"""What the issuer's tests look at and change in the database, as its owner."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from tests.harness.issuer.caller import Reply
    from tests.harness.issuer.conftest import Database

WAIT_SECONDS = 10.0


async def organization_id(database: Database, slug: str) -> str:
    return str(await database.owner.fetchval("SELECT id FROM organizations WHERE slug = $1", slug))


async def set_status(database: Database, email: str, slug: str, status: str) -> None:
    done = await database.owner.execute(
        """UPDATE memberships SET status = $3 FROM users u, organizations o
           WHERE u.email = $1 AND o.slug = $2 AND user_id = u.id AND memberships.organization_id = o.id""",
        email,
        slug,
        status,
    )
    assert done == "UPDATE 1"


async def set_organization_status(database: Database, slug: str, status: str) -> None:
    done = await database.owner.execute("UPDATE organizations SET status = $2 WHERE slug = $1", slug, status)
    assert done == "UPDATE 1"


async def reasons(database: Database) -> list[str | None]:
    """Why each session has ended, oldest first; None for those that have not."""
    rows = await database.owner.fetch(
        "SELECT reason, revoked_at FROM shapegate_auth.sessions ORDER BY issued_at, expires_at, jti"
    )
    assert all((row["reason"] is None) == (row["revoked_at"] is None) for row in rows)
    return [row["reason"] for row in rows]


def refused(reply: Reply, status: int, code: str) -> bool:
    return (reply.status, reply.body["code"]) == (status, code)


async def waiters(connection: asyncpg.Connection, count: int) -> None:
    """Wait until so many transactions of the issuer wait for one of its locks."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        waiting = await connection.fetchval(
            """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        )
        if waiting == count:
            return
        assert time.monotonic() < deadline, f"{waiting} of {count} transactions wait for the lock"
        await asyncio.sleep(0.005)


async def hold_family(connection: asyncpg.Connection) -> None:
    """Take the lock that every change of the only family needs; released by the transaction's end."""
    await connection.execute(
        """SELECT pg_advisory_xact_lock(hashtextextended('shapegate_auth.family ' || family_id::text, 0))
           FROM (SELECT DISTINCT family_id FROM shapegate_auth.sessions) AS family"""
    )


async def hold_user(connection: asyncpg.Connection, user_id: UUID) -> None:
    """Take the lock that every change of a user's logins needs; released by the transaction's end."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('shapegate_auth.user ' || $1::uuid::text, 0))", user_id
    )
