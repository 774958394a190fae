"""Values that the issuer's tests are about, made short; every fact has a default that a test may change."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shapegate_harness.issuer import IssuerSettings
from shapegate_harness.issuer.account import Organization, Session, User
from shapegate_harness.issuer.attempts import Attempts
from shapegate_harness.issuer.keys import KeyRing, signing_key
from shapegate_harness.issuer.service import IssuerService
from shapegate_harness.issuer.tokens import AccessTokens, FixedKeys

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.issuer.administration import PasswordCheck
    from shapegate_harness.issuer.keys import Signer, SigningKey
    from shapegate_harness.issuer.store import Store
    from shapegate_proxy.config import Secret

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ADA = UUID("00000000-0000-4000-8000-0000000000ad")
ACME = UUID("00000000-0000-4000-8000-00000000acae")
GLOBEX = UUID("00000000-0000-4000-8000-000000000b0e")
PASSWORD = "correct horse battery staple"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        """The same clock for what measures spans."""
        return self.now.timestamp()

    def advance(self, seconds: float) -> None:
        """Go on by some seconds."""
        self.now += timedelta(seconds=seconds)


def settings(
    key_file: Path | None,
    *,
    secret: Secret | None = None,
    subject_prefix: str = "",
    issuer: str = "urn:shapegate:dev-issuer",
    audience: str = "shapegate",
    access_seconds: int = 900,
    database_seconds: float = 5.0,
) -> IssuerSettings:
    """Settings of an issuer."""
    return IssuerSettings(
        key_file=key_file,
        secret=secret,
        subject_prefix=subject_prefix,
        issuer=issuer,
        audience=audience,
        access_seconds=access_seconds,
        database_seconds=database_seconds,
    )


def new_key() -> SigningKey:
    """A signing key that no other test has."""
    return signing_key(Ed25519PrivateKey.generate())


def ring(*signers: Signer, changed_at: datetime = NOW) -> KeyRing:
    """The keys of an issuer, the newest first."""
    return KeyRing(signers=signers, changed_at=changed_at)


def access_tokens(key: Signer, told: IssuerSettings) -> AccessTokens:
    """The tokens of an issuer."""
    return AccessTokens(keys=FixedKeys(fixed=ring(key)), settings=told)


def minted(tokens: AccessTokens, *, now: datetime = NOW) -> str:
    """The access token of Ada's session, as owner."""
    return tokens.mint(session(), "owner", {}, now=now)


def service_of(store: Store, passwords: PasswordCheck, tokens: AccessTokens) -> IssuerService:
    """An issuer without sockets, on a clock that stands still."""
    clock = Clock()
    return IssuerService(
        store=store,
        passwords=passwords,
        tokens=tokens,
        attempts=Attempts(tokens.settings, monotonic=clock.monotonic),
        clock=clock,
    )


def session(*, jti: int = 1, issued_at: datetime = NOW, seconds: float = 900) -> Session:
    """A session of Ada's at Acme."""
    return Session(
        jti=UUID(int=jti),
        family_id=UUID(int=1000),
        user_id=ADA,
        organization_id=ACME,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=seconds),
    )


def user() -> User:
    """Ada."""
    return User(id=ADA, email="ada@acme.example")


def organization(organization_id: UUID = ACME, *, slug: str = "acme", role: str = "owner") -> Organization:
    """An organization as one of its members sees it."""
    return Organization(id=organization_id, slug=slug, name=slug.title(), role=role)


def encoded(part: object) -> str:
    """One part of a JWT."""
    text = part if isinstance(part, str) else json.dumps(part, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, object]:
    """What one part of a JWT says, unverified."""
    value: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(value, dict)
    return value


def signed(key: SigningKey, header: object, claims: object) -> str:
    """A JWT with any header and claims, truly signed with a key."""
    content = f"{encoded(header)}.{encoded(claims)}"
    signature = base64.urlsafe_b64encode(key.private.sign(content.encode())).rstrip(b"=").decode()
    return f"{content}.{signature}"
