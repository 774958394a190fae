"""Every statement that the issuer sends to Postgres, as role shapegate_issuer.

Failures of the database become Unavailable (away, slow, overloaded: worth another try) or InternalFault
(anything else: a missing table, a missing right), both without detail; the detail's class goes to the log.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from shapegate_harness.issuer.account import Credentials, Organization, Session, StoredSession, User
from shapegate_harness.issuer.errors import InternalFault, Unavailable
from shapegate_harness.issuer.refresh import RefreshToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime
    from uuid import UUID

    from asyncpg.pool import PoolConnectionProxy

_LOG: Final = logging.getLogger("shapegate.issuer")

CONNECTIONS_MAX: Final = 4
"""Statements here take a millisecond; a few connections serve more logins than argon2 can check."""
_RETRYABLE: Final = ("08", "40", "53", "55", "57")
"""SQLSTATE classes of connections, rollbacks, resources, object state and operator's interventions."""

_CREDENTIALS: Final = """
SELECT u.id, u.email::text AS email, u.organization_id, c.password_hash
FROM public.users u LEFT JOIN shapegate_auth.credentials c ON c.user_id = u.id
WHERE lower(u.email) = lower($1)
"""
_ORGANIZATIONS: Final = """
SELECT o.id, o.slug::text AS slug, o.name, m.role
FROM public.memberships m JOIN public.organizations o ON o.id = m.organization_id
WHERE m.user_id = $1 AND m.status = 'active' AND o.status = 'active'
ORDER BY o.slug, o.id
"""
_BEGIN_SESSION: Final = """
WITH session AS (
  INSERT INTO shapegate_auth.sessions (jti, family_id, user_id, organization_id, issued_at, expires_at)
  VALUES ($1, $2, $3, $4, $5, $6)
)
INSERT INTO shapegate_auth.refresh_tokens
  (token_hash, family_id, user_id, organization_id, issued_at, expires_at)
VALUES ($7, $2, $3, $4, $5, $8)
"""
_FAMILY_OF: Final = "SELECT family_id FROM shapegate_auth.refresh_tokens WHERE token_hash = $1"
# All changes of one family wait for each other: a rotation under way could otherwise add a session that a
# revocation of the family does not see. The lock ends with the transaction.
_LOCK_FAMILY: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('shapegate_auth.family ' || $1::uuid::text, 0))"
)
_LOCK_ROW: Final = """
SELECT t.family_id, t.user_id, u.email::text AS email, t.organization_id, t.expires_at, t.used_at,
  EXISTS (
    SELECT FROM shapegate_auth.sessions s WHERE s.family_id = t.family_id AND s.revoked_at IS NOT NULL
  ) AS family_revoked
FROM shapegate_auth.refresh_tokens t JOIN public.users u ON u.id = t.user_id
WHERE t.token_hash = $1
FOR UPDATE OF t
"""
_MARK_USED: Final = "UPDATE shapegate_auth.refresh_tokens SET used_at = $2 WHERE token_hash = $1"
_REVOKE_FAMILY: Final = """
WITH tokens AS (
  UPDATE shapegate_auth.refresh_tokens SET used_at = $2 WHERE family_id = $1 AND used_at IS NULL
)
UPDATE shapegate_auth.sessions SET revoked_at = $2, reason = $3 WHERE family_id = $1 AND revoked_at IS NULL
"""
_SESSION: Final = """
SELECT s.jti, s.family_id, s.user_id, s.organization_id, s.issued_at, s.expires_at,
  s.revoked_at IS NOT NULL AS revoked, u.email::text AS email
FROM shapegate_auth.sessions s JOIN public.users u ON u.id = s.user_id
WHERE s.jti = $1
"""
_SET_HASH: Final = """
INSERT INTO shapegate_auth.credentials (user_id, password_hash, updated_at)
SELECT id, $2, $3 FROM public.users WHERE lower(email) = lower($1)
ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, updated_at = excluded.updated_at
RETURNING user_id
"""


class Store:
    """Transactions on a small pool of connections; closed by `open`'s block."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], *, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, *, seconds: float) -> AsyncIterator[Store]:
        """Connect; every wait ends after `seconds`. Raises Unavailable or InternalFault."""
        with _translated():
            try:
                pool = await asyncpg.create_pool(
                    database_url,
                    min_size=1,
                    max_size=CONNECTIONS_MAX,
                    timeout=seconds,
                    command_timeout=seconds,
                    server_settings={"application_name": "shapegate-issuer"},
                )
            except ValueError:
                # A URL that asyncpg cannot read. Its words may quote the password.
                raise InternalFault from None
        try:
            yield cls(pool, seconds=seconds)
        finally:
            await _close(pool, seconds)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Records]:
        """Begin a transaction; committed at the block's end, rolled back if an exception leaves it.

        Raises Unavailable or InternalFault.
        """
        with _translated():
            async with (
                self._pool.acquire(timeout=self._seconds) as connection,
                connection.transaction(isolation="read_committed"),
            ):
                yield Records(connection)


class Records:
    """What the issuer keeps, as one transaction sees it."""

    def __init__(self, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def credentials(self, email: str) -> Credentials | None:
        """Look a user up by e-mail address, without regard to case; None if there is no such user."""
        row = await self._connection.fetchrow(_CREDENTIALS, email)
        if row is None:
            return None
        return Credentials(
            user=User(id=row["id"], email=row["email"]),
            home_organization_id=row["organization_id"],
            password_hash=row["password_hash"],
        )

    async def organizations(self, user_id: UUID) -> tuple[Organization, ...]:
        """List the active organizations of which the user is an active member, by slug."""
        rows = await self._connection.fetch(_ORGANIZATIONS, user_id)
        return tuple(
            Organization(id=row["id"], slug=row["slug"], name=row["name"], role=row["role"]) for row in rows
        )

    async def begin_session(self, session: Session, *, token_hash: bytes, refresh_until: datetime) -> None:
        """Record an access token and the refresh token that goes with it."""
        await self._connection.execute(
            _BEGIN_SESSION,
            session.jti,
            session.family_id,
            session.user_id,
            session.organization_id,
            session.issued_at,
            session.expires_at,
            token_hash,
            refresh_until,
        )

    async def session(self, jti: UUID) -> StoredSession | None:
        """Look a session up; None if there is none, or no longer."""
        row = await self._connection.fetchrow(_SESSION, jti)
        if row is None:
            return None
        return StoredSession(
            session=Session(
                jti=row["jti"],
                family_id=row["family_id"],
                user_id=row["user_id"],
                organization_id=row["organization_id"],
                issued_at=row["issued_at"],
                expires_at=row["expires_at"],
            ),
            user=User(id=row["user_id"], email=row["email"]),
            revoked=row["revoked"],
        )

    async def lock_refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        """Lock a refresh token's family and row, and read it; None if there is no such token."""
        family_id = await self._connection.fetchval(_FAMILY_OF, token_hash)
        if family_id is None:
            return None
        await self._connection.execute(_LOCK_FAMILY, family_id)
        row = await self._connection.fetchrow(_LOCK_ROW, token_hash)
        if row is None:
            return None
        return RefreshToken(
            family_id=row["family_id"],
            user=User(id=row["user_id"], email=row["email"]),
            organization_id=row["organization_id"],
            expires_at=row["expires_at"],
            used_at=row["used_at"],
            family_revoked=row["family_revoked"],
        )

    async def use_refresh_token(self, token_hash: bytes, now: datetime) -> None:
        """Mark a locked refresh token as used."""
        await self._connection.execute(_MARK_USED, token_hash, now)

    async def revoke_family(self, family_id: UUID, *, reason: str, now: datetime) -> None:
        """End every session of a family and make its refresh tokens useless; idempotent."""
        await self._connection.execute(_LOCK_FAMILY, family_id)
        await self._connection.execute(_REVOKE_FAMILY, family_id, now, reason)

    async def set_password(self, email: str, password_hash: str, now: datetime) -> UUID | None:
        """Store the password hash of a user and name the user; None if nobody has the e-mail address."""
        user_id: UUID | None = await self._connection.fetchval(_SET_HASH, email, password_hash, now)
        return user_id


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what asyncpg and sockets raise into this package's errors.

    The cause is not chained: Postgres' messages quote values, and a traceback would print them.
    """
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as exc:
        sqlstate = getattr(exc, "sqlstate", None)
        _LOG.error("database: %s, sqlstate %s", type(exc).__name__, sqlstate)
        raise (Unavailable() if _is_away(exc, sqlstate) else InternalFault()) from None


def _is_away(exc: Exception, sqlstate: str | None) -> bool:
    """Whether another try in a moment may succeed."""
    if sqlstate is not None:
        return sqlstate.startswith(_RETRYABLE)
    return isinstance(exc, OSError) or type(exc) is asyncpg.InterfaceError


async def _close(pool: asyncpg.Pool[asyncpg.Record], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await pool.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pool.terminate()
