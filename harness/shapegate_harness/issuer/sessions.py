"""Sessions seen from above, as SQL: which go on, how many end at once, and what is cleared away."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shapegate_harness.issuer.account import ActiveLogin

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

KEPT_SECONDS: Final = 7 * 24 * 60 * 60
"""How long after its end a session stays on record: who was let in when."""

_ACTIVE: Final = """
SELECT DISTINCT ON (s.family_id) s.jti, coalesce(o.slug::text, '') AS slug, s.issued_at, s.expires_at,
  t.refresh_until
FROM shapegate_auth.sessions s
LEFT JOIN public.organizations o ON o.id = s.organization_id
CROSS JOIN LATERAL (
  SELECT max(r.expires_at) AS refresh_until FROM shapegate_auth.refresh_tokens r
  WHERE r.family_id = s.family_id AND r.used_at IS NULL AND r.expires_at > $2
) t
WHERE s.user_id = $1 AND (s.expires_at > $2 OR t.refresh_until IS NOT NULL) AND NOT EXISTS (
  SELECT FROM shapegate_auth.sessions e WHERE e.family_id = s.family_id AND e.revoked_at IS NOT NULL
)
ORDER BY s.family_id, s.issued_at DESC, s.expires_at DESC
"""
# Whoever ends many waits for whoever else does: their rows overlap, in no common order.
_LOCK_MANY: Final = "SELECT pg_advisory_xact_lock(hashtextextended('shapegate_auth.revocation', 0))"
_LOCK_ONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_REVOKE: Final = """
WITH tokens AS (
  UPDATE shapegate_auth.refresh_tokens SET used_at = $2
  WHERE {0} = $1 AND used_at IS NULL AND expires_at > $2 AND family_id IS DISTINCT FROM $3
  RETURNING family_id
), sessions AS (
  UPDATE shapegate_auth.sessions SET revoked_at = $2, reason = $4
  WHERE {0} = $1 AND revoked_at IS NULL AND expires_at > $2 AND family_id IS DISTINCT FROM $3
  RETURNING family_id
)
SELECT count(*) FROM (SELECT family_id FROM tokens UNION SELECT family_id FROM sessions) AS ended
"""
_CLEAR_TOKENS: Final = "DELETE FROM shapegate_auth.refresh_tokens WHERE expires_at <= $1"
# That a family was revoked is known by its sessions, so they stay for as long as it could be refreshed.
_CLEAR_SESSIONS: Final = """
WITH cleared AS (
  DELETE FROM shapegate_auth.sessions s
  WHERE s.expires_at <= $2 AND (s.revoked_at IS NULL OR NOT EXISTS (
    SELECT FROM shapegate_auth.refresh_tokens t
    WHERE t.family_id = s.family_id AND t.used_at IS NULL AND t.expires_at > $1
  ))
  RETURNING 1
)
SELECT count(*) FROM cleared
"""


class SessionRecords:
    """All sessions, as one transaction sees them."""

    def __init__(self, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def active(self, user_id: UUID, now: datetime) -> tuple[ActiveLogin, ...]:
        """List what of a user goes on, in every organization; the oldest first."""
        rows = await self._connection.fetch(_ACTIVE, user_id, now)
        found = [
            ActiveLogin(
                jti=row["jti"],
                organization=row["slug"],
                issued_at=row["issued_at"],
                expires_at=row["expires_at"],
                refresh_until=row["refresh_until"],
            )
            for row in rows
        ]
        return tuple(sorted(found, key=lambda login: (login.issued_at, login.jti)))

    async def organization_id(self, slug: str) -> UUID | None:
        """Look an organization up; None if there is none of that slug."""
        found: UUID | None = await self._connection.fetchval(
            "SELECT id FROM public.organizations WHERE slug = $1", slug
        )
        return found

    async def lock_all_of_user(self, user_id: UUID) -> None:
        """Keep everybody away who adds to the logins of a user."""
        await self._connection.execute(_LOCK_MANY)
        await self._connection.execute(_LOCK_ONE, f"shapegate_auth.user {user_id}")

    async def revoke_user(
        self, user_id: UUID, *, reason: str, now: datetime, but_family: UUID | None = None
    ) -> int:
        """End all logins of a user but one, in every organization; return how many families went on."""
        await self.lock_all_of_user(user_id)
        return await self._revoke("user_id", user_id, reason, now, but_family)

    async def revoke_organization(self, organization_id: UUID, *, reason: str, now: datetime) -> int:
        """End all logins to an organization, of all its members; return how many families went on."""
        await self._connection.execute(_LOCK_MANY)
        await self._connection.execute(_LOCK_ONE, f"shapegate_auth.org {organization_id}")
        return await self._revoke("organization_id", organization_id, reason, now, None)

    async def clear(self, now: datetime) -> int:
        """Delete refresh tokens that are over, and sessions that are so for long; count the sessions."""
        await self._connection.execute(_CLEAR_TOKENS, now)
        cleared: int = await self._connection.fetchval(
            _CLEAR_SESSIONS, now, now - timedelta(seconds=KEPT_SECONDS)
        )
        return cleared

    async def _revoke(
        self, column: str, whose: UUID, reason: str, now: datetime, but_family: UUID | None
    ) -> int:
        ended: int = await self._connection.fetchval(_REVOKE.format(column), whose, now, but_family, reason)
        return ended
