"""What the issuer decides: who gets a token, for which organization, and when it ends."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from shapegate_harness.issuer.account import Session, StoredSession, User, find, home_or_first
from shapegate_harness.issuer.answers import Granted, Me, SessionPart
from shapegate_harness.issuer.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidToken,
    NoMembership,
    NotAMember,
    WrongPassword,
)
from shapegate_harness.issuer.refresh import Verdict, judge, token_hash
from shapegate_harness.issuer.tokens import lifetime
from shapegate_proxy.logs import LogEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shapegate_harness.issuer.account import Organization
    from shapegate_harness.issuer.administration import PasswordCheck
    from shapegate_harness.issuer.attempts import Attempts
    from shapegate_harness.issuer.forms import LoginForm, LogoutForm, PasswordForm, RefreshForm, SwitchForm
    from shapegate_harness.issuer.records import Records
    from shapegate_harness.issuer.store import Store
    from shapegate_harness.issuer.tokens import AccessTokens, VerifiedToken

REFRESH_TOKEN_BYTES: Final = 32
_AUDIT: Final = logging.getLogger("shapegate.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerService:
    """The issuer without its sockets; `peer` is the address that a caller has.

    Every method may raise Unavailable, Busy, TooManyAttempts or InternalFault too.
    """

    store: Store
    passwords: PasswordCheck
    tokens: AccessTokens
    attempts: Attempts
    clock: Callable[[], datetime]
    """Now, aware, in UTC."""

    async def login(self, form: LoginForm, *, peer: str) -> Granted:
        """Exchange a password for tokens. Raises InvalidCredentials or NoMembership."""
        with self.attempts.failing(peer=peer, about=form.email):
            async with self.store.transaction() as records:
                found = await records.credentials(form.email)
            # No connection is held while the password is checked, and one is checked in every case.
            matches = await self.passwords.matches(form.password, found.password_hash if found else None)
            if found is None or not matches:
                raise InvalidCredentials
            async with self.store.transaction() as records:
                await records.lock_user(found.user.id)
                if await records.credentials(form.email) != found:
                    raise InvalidCredentials  # the password was changed since it was checked
                organizations = await records.organizations(found.user.id)
                if not organizations:
                    raise NoMembership
                landing = home_or_first(organizations, found.home_organization_id)
                await records.lock_organization(landing.id)
                return await self._grant(records, found.user, landing, organizations, family_id=uuid4())

    async def refresh(self, form: RefreshForm, *, peer: str) -> Granted:
        """Exchange a refresh token for new tokens. Raises InvalidRefreshToken or NotAMember."""
        arrived_at = self.clock()
        with self.attempts.failing(peer=peer):
            async with self.store.transaction() as records:
                outcome = await self._rotate(records, token_hash(form.refresh_token), arrived_at)
            # Raised only here, after the commit: a family revoked for reuse has to stay so.
            if isinstance(outcome, InvalidRefreshToken):
                raise outcome
        return outcome

    async def switch(self, access_token: str, form: SwitchForm, *, peer: str) -> Granted:
        """Begin a session for another organization; the old one goes on.

        Raises InvalidToken, or NotAMember for the old organization and for the new one.
        """
        verified = self.tokens.verify(access_token, now=self.clock())
        with self.attempts.failing(peer=peer, about=str(verified.user_id)):
            async with self.store.transaction() as records:
                await records.lock_user(verified.user_id)
                await records.lock_organization(form.organization_id)
                caller = await self._caller(records, verified)
                organizations = await records.organizations(caller.user.id)
                target = find(organizations, form.organization_id)
                if target is None:
                    _audit_refused_switch(verified, form)
                if target is None or find(organizations, caller.session.organization_id) is None:
                    raise NotAMember
                return await self._grant(records, caller.user, target, organizations, family_id=uuid4())

    async def me(self, access_token: str) -> Me:
        """Tell whose token it is. Raises InvalidToken or NotAMember."""
        verified = self.tokens.verify(access_token, now=self.clock())
        async with self.store.transaction() as records:
            caller = await self._caller(records, verified)
            organizations = await records.organizations(caller.user.id)
        organization = find(organizations, caller.session.organization_id)
        if organization is None:
            raise NotAMember
        return Me(
            user=caller.user,
            organization=organization,
            organizations=organizations,
            session=SessionPart(
                jti=caller.session.jti,
                issued_at=caller.session.issued_at,
                expires_at=caller.session.expires_at,
            ),
        )

    async def logout(self, access_token: str, form: LogoutForm) -> None:
        """End the token's family, and that of a refresh token of the same user. Raises InvalidToken.

        Asks for no membership: whose membership is suspended may end a session all the same.
        """
        verified = self.tokens.verify(access_token, now=self.clock())
        async with self.store.transaction() as records:
            await records.lock_user(verified.user_id)
            await records.lock_organization(verified.organization_id)
            caller = await self._caller(records, verified)
            await records.revoke_family(caller.session.family_id, reason="logout", now=self.clock())
        if form.refresh_token is None:
            return
        # A transaction of its own: one that locks two families could meet another that locks them in turn.
        async with self.store.transaction() as records:
            other = await records.lock_refresh_token(token_hash(form.refresh_token))
            if other is not None and other.user.id == caller.user.id:
                await records.revoke_family(other.family_id, reason="logout", now=self.clock())

    async def change_password(self, access_token: str, form: PasswordForm, *, peer: str) -> None:
        """Change the caller's own password; all other logins of theirs end, in every organization.

        Raises InvalidToken or WrongPassword.
        """
        verified = self.tokens.verify(access_token, now=self.clock())
        async with self.store.transaction() as records:
            caller = await self._caller(records, verified)
            found = await records.credentials(caller.user.email)
        with self.attempts.failing(peer=peer, about=caller.user.email):
            known = found.password_hash if found else None
            if found is None or not await self.passwords.matches(form.current_password, known):
                raise WrongPassword
        new_hash = await self.passwords.hash(form.new_password)
        async with self.store.transaction() as records:
            await records.sessions.lock_all_of_user(caller.user.id)
            caller = await self._caller(records, verified)
            if await records.credentials(caller.user.email) != found:
                raise WrongPassword  # somebody else changed it meanwhile
            await records.replace_password(
                caller.user.id, new_hash, self.clock(), but_family=caller.session.family_id
            )

    async def _rotate(
        self, records: Records, hashed: bytes, arrived_at: datetime
    ) -> Granted | InvalidRefreshToken:
        token = await records.lock_refresh_token(hashed)
        now = self.clock()
        verdict = Verdict.UNUSABLE if token is None else judge(token, arrived_at=arrived_at, now=now)
        if token is None or verdict is Verdict.UNUSABLE:
            return InvalidRefreshToken()
        if verdict is Verdict.REUSED:
            await records.revoke_family(token.family_id, reason="refresh_reuse", now=now)
            return InvalidRefreshToken()
        organizations = await records.organizations(token.user.id)
        organization = find(organizations, token.organization_id)
        if organization is None:
            # Rolled back, so the token can be used once the membership is active again.
            raise NotAMember
        self.attempts.refresh(token.user.id)
        granted = await self._grant(
            records, token.user, organization, organizations, family_id=token.family_id
        )
        # Last and with the latest clock: whoever arrives before this instant lost a race, see `refresh`.
        await records.use_refresh_token(hashed, self.clock())
        return granted

    async def _caller(self, records: Records, verified: VerifiedToken) -> StoredSession:
        """Look up the session of a token: the same user's, the same organization's, not ended."""
        stored = await records.session(verified.jti)
        if (
            stored is None
            or stored.revoked
            or stored.session.user_id != verified.user_id
            or stored.session.organization_id != verified.organization_id
        ):
            raise InvalidToken
        return stored

    async def _grant(
        self,
        records: Records,
        user: User,
        organization: Organization,
        organizations: tuple[Organization, ...],
        *,
        family_id: UUID,
    ) -> Granted:
        """Begin a session; the locks on its user and its organization are held."""
        settings, now = self.tokens.settings, self.clock()
        issued_at, expires_at = lifetime(now, settings.access_seconds)
        _, refresh_until = lifetime(now, settings.refresh_seconds)
        refresh_token = secrets.token_urlsafe(REFRESH_TOKEN_BYTES)
        session = Session(
            jti=uuid4(),
            family_id=family_id,
            user_id=user.id,
            organization_id=organization.id,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        further = await records.claims(user.id, organization.id)
        await records.begin_session(
            session, token_hash=token_hash(refresh_token), refresh_until=refresh_until
        )
        return Granted(
            access_token=self.tokens.mint(session, organization.role, further, now=now),
            expires_in=settings.access_seconds,
            refresh_token=refresh_token,
            issuer=settings.issuer,
            user=user,
            organization=organization,
            organizations=organizations,
        )


def _audit_refused_switch(verified: VerifiedToken, form: SwitchForm) -> None:
    """Leave a trace of the attempt; the transaction that finds it out of reach leaves none (D-08)."""
    fields = {
        "user": str(verified.user_id),
        "org": str(verified.organization_id),
        "session": str(verified.jti),
        "asked_org": str(form.organization_id),
    }
    _AUDIT.warning(LogEvent(name="switch_refused", fields=fields))
