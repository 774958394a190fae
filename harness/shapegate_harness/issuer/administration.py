"""What an operator does with passwords and logins, each in a transaction of its own.

Every function may raise Unavailable or InternalFault too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from shapegate_harness.issuer.errors import UnknownOrganization, UnknownSession, UnknownUser

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from shapegate_harness.issuer.account import ActiveLogin, Credentials
    from shapegate_harness.issuer.records import Records
    from shapegate_harness.issuer.store import Store

REASON: Final = "operator"


class PasswordCheck(Protocol):
    """Hashing and checking, at the same cost for a hash and for none."""

    async def hash(self, password: str) -> str:
        """Hash a password for storing."""
        ...

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Tell whether a password is the one that was hashed; None matches nothing."""
        ...


async def set_password(
    store: Store, passwords: PasswordCheck, *, email: str, password: str, now: datetime
) -> bool:
    """Give a user a password; if it is another one than before, all logins end. Says whether it is.

    Raises UnknownUser or Busy.
    """
    async with store.transaction() as records:
        found = await _user(records, email)
    if found.password_hash and await passwords.matches(password, found.password_hash):
        return False
    new_hash = await passwords.hash(password)
    async with store.transaction() as records:
        await records.replace_password(found.user.id, new_hash, now)
    return True


async def active_logins(store: Store, *, email: str, now: datetime) -> tuple[ActiveLogin, ...]:
    """List the logins of a user that go on, the oldest first. Raises UnknownUser."""
    async with store.transaction() as records:
        return await records.sessions.active((await _user(records, email)).user.id, now)


async def end_session(store: Store, *, jti: UUID, now: datetime) -> None:
    """End the login that a session belongs to, with all its tokens; idempotent. Raises UnknownSession."""
    async with store.transaction() as records:
        found = await records.session(jti)
        if found is None:
            raise UnknownSession(f"no session has the id {jti}: expected the `jti` of a token or of a list")
        await records.lock_user(found.user.id)
        await records.lock_organization(found.session.organization_id)
        await records.revoke_family(found.session.family_id, reason=REASON, now=now)


async def end_all_of_user(store: Store, *, email: str, now: datetime) -> int:
    """End all logins of a user, in every organization; return how many went on. Raises UnknownUser."""
    async with store.transaction() as records:
        user = (await _user(records, email)).user
        return await records.sessions.revoke_user(user.id, reason=REASON, now=now)


async def end_all_of_organization(store: Store, *, slug: str, now: datetime) -> int:
    """End all logins to an organization; return how many went on. Raises UnknownOrganization."""
    async with store.transaction() as records:
        organization_id = await records.sessions.organization_id(slug)
        if organization_id is None:
            raise UnknownOrganization(f"no organization has the slug {slug!r}")
        return await records.sessions.revoke_organization(organization_id, reason=REASON, now=now)


async def clear_away(store: Store, *, now: datetime) -> int:
    """Delete refresh tokens that are over, and sessions that are so for long; count the sessions."""
    async with store.transaction() as records:
        return await records.sessions.clear(now)


async def _user(records: Records, email: str) -> Credentials:
    found = await records.credentials(email)
    if found is None:
        raise UnknownUser(f"no user has the e-mail address {email!r}: create the user first")
    return found
