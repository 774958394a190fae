"""What the issuer keeps, as SQL.

Whoever adds to a login holds locks on its user, its organization and its family, in this order and the first
two shared; whoever ends all of a user or an organization holds that one lock alone. So nothing is added that
the ending does not see. A lock ends with its transaction.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from shapegate_harness.issuer.account import Credentials, Organization, Session, StoredSession, User
from shapegate_harness.issuer.errors import InternalFault
from shapegate_harness.issuer.refresh import RefreshToken
from shapegate_harness.issuer.sessions import SessionRecords

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

CLAIMS_CHARS_MAX: Final = 1024
"""Of all further claims together, so that a token stays far below what verifiers read."""
_LOG: Final = logging.getLogger("shapegate.issuer")

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
_FAMILY_OF: Final = """
SELECT family_id, user_id, organization_id FROM shapegate_auth.refresh_tokens WHERE token_hash = $1
"""
_LOCK_USER: Final = (
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('shapegate_auth.user ' || $1::uuid::text, 0))"
)
_LOCK_ORGANIZATION: Final = (
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('shapegate_auth.org ' || $1::uuid::text, 0))"
)
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
INSERT INTO shapegate_auth.credentials (user_id, password_hash, updated_at) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, updated_at = excluded.updated_at
"""


class Records:
    """What the issuer keeps, as one transaction sees it."""

    def __init__(self, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection
        self.sessions = SessionRecords(connection)

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

    async def claims(self, user_id: UUID, organization_id: UUID) -> Mapping[str, str]:
        """Read what the domain adds to tokens. Raises InternalFault if it is no object of texts."""
        found = await self._connection.fetchval(
            "SELECT shapegate_auth.claims_of($1, $2)", user_id, organization_id
        )
        claims: object = json.loads(found or "null")
        if (
            not isinstance(claims, dict)
            or not all(isinstance(value, str) for value in claims.values())
            or len(found) > CLAIMS_CHARS_MAX
        ):
            _LOG.error("claims_of gave no object of texts, or more than %d characters", CLAIMS_CHARS_MAX)
            raise InternalFault
        return claims

    async def lock_user(self, user_id: UUID) -> None:
        """Keep away who ends all sessions of a user; before `lock_organization`."""
        await self._connection.execute(_LOCK_USER, user_id)

    async def lock_organization(self, organization_id: UUID) -> None:
        """Keep away who ends all sessions of an organization; after `lock_user`."""
        await self._connection.execute(_LOCK_ORGANIZATION, organization_id)

    async def begin_session(self, session: Session, *, token_hash: bytes, refresh_until: datetime) -> None:
        """Record an access token and the refresh token that goes with it; the locks are held."""
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
        """Lock whose a refresh token is, its family and its row, and read it; None if there is none."""
        token = await self._connection.fetchrow(_FAMILY_OF, token_hash)
        if token is None:
            return None
        await self.lock_user(token["user_id"])
        await self.lock_organization(token["organization_id"])
        await self._connection.execute(_LOCK_FAMILY, token["family_id"])
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
        """End every session of a family and make its refresh tokens useless; idempotent.

        The locks on its user and its organization are held.
        """
        await self._connection.execute(_LOCK_FAMILY, family_id)
        await self._connection.execute(_REVOKE_FAMILY, family_id, now, reason)

    async def replace_password(
        self, user_id: UUID, password_hash: str, now: datetime, *, but_family: UUID | None = None
    ) -> None:
        """Store the password hash of a user and end all logins but one."""
        # First, since it locks: a login that checked the former password waits, and finds another one then.
        await self.sessions.revoke_user(user_id, reason="password_changed", now=now, but_family=but_family)
        await self._connection.execute(_SET_HASH, user_id, password_hash, now)
