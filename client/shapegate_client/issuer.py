"""Credentials from Shapegate's token issuer: login, renewal, switch and logout over HTTP.

Only a 401 or 403 of the issuer ends a login, one that does not answer does not. Tokens are kept per org,
so that a switch back works offline while its token lives. A renewal is shared by all who wait for it, also
between processes, and goes on when one of them is cancelled: the issuer takes a refresh token once only.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from shapegate_client.clock import SystemClock
from shapegate_client.config import parse_address
from shapegate_client.errors import (
    ClientError,
    IssuerFault,
    KeyringFailed,
    LoginRefused,
    LoginRequired,
    MembershipEnded,
    NotAMember,
    NotLoggedIn,
    Unreachable,
)
from shapegate_client.grant import parse_granted
from shapegate_client.issuer_http import IssuerAnswer, post
from shapegate_client.login import Grant, Login
from shapegate_client.uninterrupted import uninterrupted
from shapegate_client.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from shapegate_client.clock import Clock
    from shapegate_client.grant import Granted
    from shapegate_client.principal import AccessToken, Principal
    from shapegate_client.vault import Keyring

LOGOUT_SECONDS: Final = 5.0
"""How long a logout tries to reach the issuer; the tokens are gone from disk before."""
_NOT_A_MEMBER: Final = "not_a_member"
_EXPIRED: Final = "the login has ended: log in again (shapegate client login)"


class IssuerCredentials:
    """The login of one user, kept in a home folder; `close` it when no session uses it any more."""

    def __init__(
        self, issuer_url: str, *, home: Path, keyring: Keyring | None = None, clock: Clock | None = None
    ) -> None:
        """Read nothing and ask nothing yet; the login is kept in a private file unless there is a keyring.

        Raises BadAddress or StoreFailed.
        """
        self._url = parse_address("issuer", issuer_url)
        self._vault = Vault(home, keyring=keyring)
        self._clock = clock or SystemClock()
        self._login: Login | None = None
        self._renewals: dict[str, asyncio.Task[Grant]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for renewals under way, so that none of their tokens is lost."""
        await uninterrupted(_settled(self._renewals.values()))

    @property
    def kept_in(self) -> str:
        """Say in words where the login lies."""
        return self._vault.place

    async def login(self, email: str, password: str) -> Principal:
        """Log a user in and keep the login. Raises LoginRefused, Unreachable, IssuerFault or StoreError."""
        body = {"email": email, "password": password}
        answer = await post(self._url / "api/auth/login", body)
        if answer.status in (400, 401, 403, 422):
            raise LoginRefused(
                f"the issuer refused the login of {email!r} ({answer.explain()}): check email and password"
            )
        granted = self._granted(answer)
        async with self._vault.exclusive():
            before = await self._stored()
            if before is not None and (before.issuer, before.user_id) != (granted.issuer, granted.user_id):
                raise LoginRefused(
                    f"{before.email} is logged in here: log out first (shapegate client logout)"
                )
            login = Login(
                issuer=granted.issuer,
                user_id=granted.user_id,
                email=granted.email,
                home_organization_id=granted.organization.id,
                organizations=before.organizations if before is not None else (),
                grants=before.grants if before is not None else {},
            )
            return (await self._keep(login, granted)).principal()

    async def principal(self) -> Principal:
        """See `Credentials.principal`."""
        return (await self._known()).principal()

    async def token(self, organization_id: str, *, rejected: AccessToken | None = None) -> AccessToken:
        """See `Credentials.token`."""
        grant = (await self._known()).grants.get(organization_id)
        if grant is not None and self._usable(grant, rejected) and self._clock.now() < grant.renew_at:
            return grant.token()
        renewed = await self._renewed(organization_id, rejected)
        if not self._usable(renewed, rejected):
            # The renewal joined was begun by somebody to whom the old token was still good.
            raise Unreachable("token issuer", "no other token is to be had now")
        return renewed.token()

    async def switch(self, organization_id: str) -> Principal:
        """See `Credentials.switch`."""
        login = await self._known()
        if all(organization.id != organization_id for organization in login.organizations):
            await self._exchange(organization_id)
            return (await self._known()).principal(organization_id)
        grant = login.grants.get(organization_id)
        try:
            if grant is None:
                await self._exchange(organization_id)
            else:
                await self.token(organization_id)
        except LoginRequired:
            # The session for that org has ended; the one in use may still open another.
            await self._exchange(organization_id)
        return (await self._known()).principal(organization_id)

    async def logout(self) -> None:
        """See `Credentials.logout`."""
        await self.close()
        async with self._vault.exclusive():
            login = await self._stored()
            self._login = None
            await self._vault.remove()
        if login is not None:
            await asyncio.gather(*(self._revoke(grant) for grant in login.grants.values()))

    async def _renewed(self, organization_id: str, rejected: AccessToken | None) -> Grant:
        """Join the renewal under way for this org, or begin one."""
        task = self._renewals.get(organization_id)
        if task is None:
            task = asyncio.create_task(self._renew(organization_id, rejected), name="shapegate-renewal")
            self._renewals[organization_id] = task
            task.add_done_callback(lambda done: self._renewal_ended(organization_id, done))
        return await asyncio.shield(task)

    def _renewal_ended(self, organization_id: str, task: asyncio.Task[Grant]) -> None:
        del self._renewals[organization_id]
        if not task.cancelled():
            task.exception()  # seen, also where everybody who waited was cancelled

    async def _renew(self, organization_id: str, rejected: AccessToken | None) -> Grant:
        async with self._vault.exclusive():
            self._login = login = await self._vault.read()
            grant = login.grants.get(organization_id)
            if grant is None:
                raise LoginRequired(_EXPIRED)
            now = self._clock.now()
            if self._usable(grant, rejected) and now < grant.renew_at:
                return grant  # another process was first
            if grant.refresh_token is None:
                raise LoginRequired(_EXPIRED)
            try:
                answer = await post(self._url / "api/auth/refresh", {"refresh_token": grant.refresh_token})
            except Unreachable:
                if self._usable(grant, rejected):
                    return grant
                raise
            if answer.status == 403 and answer.code == _NOT_A_MEMBER:
                # The refresh token stays good, should the user be let in again.
                raise MembershipEnded(organization_id)
            if answer.status in (401, 403):
                self._login = login.with_grant(_without_refresh(grant))
                await self._vault.write(self._login)
                raise LoginRequired(f"{_EXPIRED}; the issuer says: {answer.explain()}")
            kept = await self._keep(login, self._granted(answer, organization_id))
            return kept.grants[organization_id]

    async def _exchange(self, organization_id: str) -> None:
        """Get tokens for an org by those of another one entered before."""
        refusal: ClientError = LoginRequired(_EXPIRED)
        for entered in tuple((await self._known()).grants):
            if entered == organization_id:
                continue
            try:
                answer = await self._ask_to_switch(entered, organization_id)
            except (LoginRequired, MembershipEnded):
                continue
            if answer.status in (400, 403, 404):
                # It may speak of the org whose token was shown, so that of another one is tried too.
                refusal = NotAMember(organization_id)
            elif answer.status == 401:
                refusal = LoginRequired(f"{_EXPIRED}; the issuer says: {answer.explain()}")
            else:
                granted = self._granted(answer, organization_id)
                async with self._vault.exclusive():
                    await self._keep(await self._vault.read(), granted)
                return
        raise refusal

    async def _ask_to_switch(self, entered: str, organization_id: str) -> IssuerAnswer:
        url, body = self._url / "api/auth/switch", {"organization_id": organization_id}
        token = await self.token(entered)
        answer = await post(url, body, bearer=token.value)
        if answer.status == 401:
            token = await self.token(entered, rejected=token)
            answer = await post(url, body, bearer=token.value)
        return answer

    async def _revoke(self, grant: Grant) -> None:
        try:
            async with asyncio.timeout(LOGOUT_SECONDS):
                await post(
                    self._url / "api/auth/logout",
                    {"refresh_token": grant.refresh_token} if grant.refresh_token else {},
                    bearer=grant.access_token,
                )
        except (Unreachable, IssuerFault, TimeoutError):
            pass  # best effort: the tokens end by themselves

    def _usable(self, grant: Grant, rejected: AccessToken | None) -> bool:
        refused = rejected is not None and rejected.value == grant.access_token
        return not refused and self._clock.now() < grant.expires_at

    def _granted(self, answer: IssuerAnswer, organization_id: str | None = None) -> Granted:
        granted = parse_granted(answer.content, now=self._clock.now(), jitter=self._clock.chance())
        if organization_id is not None and granted.organization.id != organization_id:
            raise IssuerFault("the issuer answered with a token for another org: expected the one asked for")
        return granted

    async def _keep(self, login: Login, granted: Granted) -> Login:
        if (login.issuer, login.user_id) != (granted.issuer, granted.user_id):
            raise IssuerFault("the issuer answered with a token for another user: expected the one logged in")
        kept = granted.joined(login)
        await self._vault.write(kept)
        self._login = kept
        return kept

    async def _known(self) -> Login:
        if self._login is None:
            self._login = await self._vault.read()
        return self._login

    async def _stored(self) -> Login | None:
        try:
            return await self._vault.read()
        except (NotLoggedIn, KeyringFailed):
            return None


def _without_refresh(grant: Grant) -> Grant:
    return replace(grant, refresh_token=None)


async def _settled(tasks: Iterable[asyncio.Task[Grant]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
