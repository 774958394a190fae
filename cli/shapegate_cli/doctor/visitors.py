"""On whose behalf sync is compared with row-level security: somebody of each org, with tokens.

They come from the logins of `shapegate up`, or from a command that prints a token for an org. The doctor
makes no tokens itself: it would have to invent users, claims, and sessions that the gate could look up.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from shapegate_client import AccessToken, IssuerCredentials, Organization, Principal
from shapegate_client.errors import ClientError, LoginRequired, NotAMember
from shapegate_proxy.errors import Refused
from shapegate_proxy.issuers import open_issuers
from shapegate_proxy.tokens import Verifier, bearer_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from shapegate_client import Credentials
    from shapegate_harness.stack import Addresses, StackLogin
    from shapegate_proxy.config import IssuerConfig
    from shapegate_proxy.principal import Principal as ProvenPrincipal

COMMAND_SECONDS: Final = 30.0
OUTPUT_BYTES_MAX: Final = 16_384
"""Twice what the longest token has."""
ROLES: Final = ("owner", "admin", "member", "viewer")
"""Of several logins of an org the one that may see most comes first."""


class NobodyThere(Exception):
    """There is nobody of this org to compare as; the text says why, without a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A principal whose rows are compared, and its tokens."""

    org: str
    user: str
    role: str | None
    credentials: Credentials


class Visitors(Protocol):
    """Where visitors come from."""

    @property
    def orgs(self) -> tuple[str, ...]:
        """The orgs that there is somebody of; empty if nobody knows before asking."""

    def visitor(self, org: str, home: Path) -> AbstractAsyncContextManager[Visitor]:
        """Bring somebody of an org, who may leave files in `home`. Raises NobodyThere."""


class LoginVisitors:
    """The logins of a development issuer."""

    def __init__(self, issuer_url: str, logins: Sequence[StackLogin]) -> None:
        self._issuer_url = issuer_url
        self._logins = sorted(logins, key=lambda login: ROLES.index(login.role))

    @property
    def orgs(self) -> tuple[str, ...]:
        """See `Visitors.orgs`."""
        return tuple(sorted({login.organization_id for login in self._logins}))

    @asynccontextmanager
    async def visitor(self, org: str, home: Path) -> AsyncIterator[Visitor]:
        """See `Visitors.visitor`."""
        login = next((each for each in self._logins if each.organization_id == org), None)
        if login is None:
            raise NobodyThere("no login lands in it")
        async with IssuerCredentials(self._issuer_url, home=home) as credentials:
            try:
                principal = await credentials.login(login.email, login.password)
            except ClientError as exc:
                raise NobodyThere(str(exc)) from exc
            yield Visitor(
                org=principal.organization.id,
                user=principal.user_id,
                role=principal.organization.role,
                credentials=credentials,
            )


class TokenVisitors:
    """Whoever a command prints a token for; the token is verified as the gate does."""

    def __init__(self, command: Sequence[str], verifier: Verifier) -> None:
        self._command = command
        self._verifier = verifier

    @property
    def orgs(self) -> tuple[str, ...]:
        """See `Visitors.orgs`."""
        return ()

    @asynccontextmanager
    async def visitor(self, org: str, home: Path) -> AsyncIterator[Visitor]:  # noqa: ARG002  # leaves no files
        """See `Visitors.visitor`."""
        token, proven = await self.token(org)
        yield Visitor(
            org=org, user=proven.user, role=proven.role, credentials=TokenCredentials(self, token, proven)
        )

    async def token(self, org: str) -> tuple[str, ProvenPrincipal]:
        """Run the command for an org and verify what it prints. Raises NobodyThere."""
        printed = await _run([word.replace("{org}", org) for word in self._command])
        try:
            token = bearer_token([f"Bearer {printed}"])
            proven = await self._verifier.verify(token)
        except Refused as exc:
            raise NobodyThere(f"the token that the command prints is refused: {exc.message}") from exc
        if proven.org != org:
            raise NobodyThere(f"the token that the command prints is for another org, {proven.org}")
        return token, proven


class TokenCredentials:
    """A printed token as the client takes it; a rejected one is asked for anew."""

    def __init__(self, source: TokenVisitors, token: str, proven: ProvenPrincipal) -> None:
        self._source = source
        self._token = token
        self._proven = proven

    async def principal(self) -> Principal:
        """See `Credentials.principal`."""
        org = Organization(
            id=self._proven.org, slug=self._proven.org, name=self._proven.org, role=self._proven.role or ""
        )
        return Principal(
            issuer=self._proven.issuer,
            user_id=self._proven.user,
            email=self._proven.user,
            organization=org,
            organizations=(org,),
        )

    async def token(self, organization_id: str, *, rejected: AccessToken | None = None) -> AccessToken:
        """See `Credentials.token`."""
        if rejected is not None and rejected.value == self._token:
            try:
                self._token, self._proven = await self._source.token(organization_id)
            except NobodyThere as exc:
                raise LoginRequired(str(exc)) from exc
        return AccessToken(
            value=self._token, organization_id=organization_id, expires_at=self._proven.expires_at
        )

    async def switch(self, organization_id: str) -> Principal:
        """See `Credentials.switch`: a visitor stays in its org."""
        raise NotAMember(organization_id)

    async def logout(self) -> None:
        """See `Credentials.logout`: the token is not ours to end."""


@asynccontextmanager
async def open_visitors(
    addresses: Addresses | None, issuers: Sequence[IssuerConfig], token_command: Sequence[str] | None
) -> AsyncIterator[Visitors | None]:
    """Choose where visitors come from: a command, else the logins of a stack; None if there is neither.

    Without an issuer no token can be told from another, so a command is of no use then.
    """
    if token_command is None or not issuers:
        yield None if addresses is None else LoginVisitors(addresses.issuer_url, addresses.logins)
        return
    async with open_issuers(issuers, sessions=False) as trusted:
        yield TokenVisitors(token_command, Verifier(trusted, clock=time.time))


async def _run(words: Sequence[str]) -> str:
    """Run a command without a shell and return what it prints. Raises NobodyThere, without any of it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except (OSError, ValueError, TypeError) as exc:
        raise NobodyThere(f"the token command cannot be run ({type(exc).__name__})") from exc
    assert process.stdout is not None, "a pipe was asked for"
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            printed = b""
            while len(printed) <= OUTPUT_BYTES_MAX and (more := await process.stdout.read(OUTPUT_BYTES_MAX)):
                printed += more
            if len(printed) > OUTPUT_BYTES_MAX:
                raise NobodyThere(f"the token command prints more than {OUTPUT_BYTES_MAX} bytes")
            code = await process.wait()
    except TimeoutError as exc:
        raise NobodyThere(f"the token command does not end within {COMMAND_SECONDS:g} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        raise NobodyThere(f"the token command ended with exit code {code}")
    return printed.decode(errors="replace").strip()
