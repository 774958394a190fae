"""Access tokens: short-lived JWTs, made and strictly checked. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import jwt

from shapegate_harness.issuer.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shapegate_harness.issuer.account import Session
    from shapegate_harness.issuer.keys import KeyRing, Signer
    from shapegate_harness.issuer.settings import IssuerSettings

TOKEN_CHARS_MAX: Final = 4096
"""Several times what `mint` makes; bounds the work that a forged token costs."""

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "organization_id", "role")


class Keys(Protocol):
    """Where the keys of now are found."""

    def ring(self) -> KeyRing:
        """Return them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedKeys:
    """Keys that stay as they are."""

    fixed: KeyRing

    def ring(self) -> KeyRing:
        """Return them."""
        return self.fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """What a token proves; made by `AccessTokens.verify` only."""

    jti: UUID
    user_id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokens:
    """Makes and checks the access tokens of one issuer."""

    keys: Keys
    settings: IssuerSettings

    def mint(self, session: Session, role: str, further: Mapping[str, str], *, now: datetime) -> str:
        """Sign the access token of a session; its instants are whole seconds.

        Of `further` claims none can take the place of one that every token has.
        """
        issued_at, expires_at = int(session.issued_at.timestamp()), int(session.expires_at.timestamp())
        return (
            self.keys.ring()
            .signing(now)
            .sign(
                {
                    **further,
                    "iss": self.settings.issuer,
                    "aud": self.settings.audience,
                    "sub": f"{self.settings.subject_prefix}{session.user_id}",
                    "jti": str(session.jti),
                    "iat": issued_at,
                    "nbf": issued_at,
                    "exp": expires_at,
                    "organization_id": str(session.organization_id),
                    "role": role,
                }
            )
        )

    def verify(self, token: str, *, now: datetime) -> VerifiedToken:
        """Check a token that this issuer is said to have made. Raises InvalidToken, without saying why.

        The header must be one that `mint` writes, byte for byte: another algorithm, key, type or header
        member, or one of them twice, is refused before anything is parsed (SECURITY J-01, J-03, J-04).
        """
        if len(token) > TOKEN_CHARS_MAX or _COMPACT.fullmatch(token) is None:
            raise InvalidToken
        signer = self.keys.ring().find(token.partition(".")[0])
        if signer is None:
            raise InvalidToken
        claims = self._claims(token, signer)
        if not _instant(claims["nbf"]) <= now.timestamp() < _instant(claims["exp"]):
            raise InvalidToken
        return VerifiedToken(
            jti=_uuid(claims["jti"]),
            user_id=_uuid(claims["sub"], prefix=self.settings.subject_prefix),
            organization_id=_uuid(claims["organization_id"]),
        )

    def _claims(self, token: str, signer: Signer) -> dict[str, object]:
        try:
            # The clock is the caller's, so `verify` compares the instants and the library does not.
            return jwt.decode(
                token,
                signer.public,
                algorithms=[signer.algorithm],
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError:
            raise InvalidToken from None


def lifetime(now: datetime, seconds: int) -> tuple[datetime, datetime]:
    """Start and end of what begins at `now`; the start is cut to whole seconds, as JWTs carry them."""
    start = now.astimezone(UTC).replace(microsecond=0)
    return start, start + timedelta(seconds=seconds)


def _instant(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidToken
    return value


def _uuid(value: object, *, prefix: str = "") -> UUID:
    if not isinstance(value, str) or not value.startswith(prefix):
        raise InvalidToken
    try:
        return UUID(value.removeprefix(prefix))
    except ValueError:
        raise InvalidToken from None
