"""Ports of a session for tests: a clock that tests move, credentials without an issuer."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING

from shapegate_client.errors import LoginRequired, MembershipEnded, NotAMember, NotLoggedIn, Unreachable
from shapegate_client.principal import AccessToken, Organization, Principal

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime.datetime(2026, 11, 20, 12, 0, 0, tzinfo=datetime.UTC)


class HeldClock:
    """A clock that stands still; pauses are noted and end at once, after a turn of the event loop."""

    def __init__(self) -> None:
        self.at = START
        self.pauses: list[float] = []
        self.on_pause: Callable[[float], None] = lambda _seconds: None
        self._ticks = 0.0

    def advance(self, seconds: float) -> None:
        self.at += datetime.timedelta(seconds=seconds)

    def monotonic(self) -> float:
        # Each look is a second later, so that no test runs into the loop breaker by being fast.
        self._ticks += 1.0
        return self._ticks

    def now(self) -> datetime.datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.on_pause(seconds)
        # A real, short pause: a refused connection answers at once, and nothing else may starve.
        await asyncio.sleep(0.01)

    def chance(self) -> float:
        return 0.5


ACME = Organization(id="acme", slug="acme", name="Acme", role="owner")
GLOBEX = Organization(id="globex", slug="globex", name="Globex", role="member")


class FixedCredentials:
    """Ada, of Acme and Globex, with tokens that say their org; can be offline or refused."""

    def __init__(self) -> None:
        self.offline = False
        self.refused = False
        self.logged_in = True
        self.organizations: tuple[Organization, ...] = (ACME, GLOBEX)
        self.ended: set[str] = set()
        """Orgs of which the issuer says that Ada is no member any more."""
        self.answers_with: str | None = None
        self.before_switch: Callable[[], None] = lambda: None
        self.serial = 0
        self.rejections: list[AccessToken] = []

    async def principal(self) -> Principal:
        if not self.logged_in:
            raise NotLoggedIn
        return self._principal(ACME)

    async def token(self, organization_id: str, *, rejected: AccessToken | None = None) -> AccessToken:
        if self.offline:
            raise Unreachable("token issuer", "scripted")
        if self.refused:
            raise LoginRequired("scripted")
        if organization_id in self.ended:
            raise MembershipEnded(organization_id)
        if rejected is not None:
            self.rejections.append(rejected)
            self.serial += 1
        return AccessToken(
            value=f"token-{organization_id}-{self.serial}",
            organization_id=organization_id,
            expires_at=START + datetime.timedelta(days=1),
        )

    async def switch(self, organization_id: str) -> Principal:
        self.before_switch()
        if self.offline:
            raise Unreachable("token issuer", "scripted")
        known = {each.id: each for each in (ACME, GLOBEX)}
        if organization_id not in known:
            raise NotAMember(organization_id)
        if organization_id in self.ended:
            raise MembershipEnded(organization_id)
        return self._principal(known[self.answers_with or organization_id])

    async def logout(self) -> None:
        self.logged_in = False

    def _principal(self, organization: Organization) -> Principal:
        return Principal(
            issuer="urn:test",
            user_id="ada",
            email="ada@acme.example",
            organization=organization,
            organizations=self.organizations,
        )
