"""Access tokens: short-lived EdDSA JWTs, made and strictly checked. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import jwt

from shapegate_harness.issuer.errors import InvalidToken

if TYPE_CHECKING:
    from datetime import datetime

    from shapegate_harness.issuer.account import Session
    from shapegate_harness.issuer.keys import SigningKey
    from shapegate_harness.issuer.settings import IssuerSettings

ALGORITHM: Final = "EdDSA"
TOKEN_CHARS_MAX: Final = 4096
"""Several times what `mint` makes; bounds the work that a forged token costs."""

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "organization_id", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """What a token proves; made by `AccessTokens.verify` only."""

    jti: UUID
    user_id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokens:
    """Makes and checks the access tokens of one issuer."""

    key: SigningKey
    settings: IssuerSettings
    _header: str = field(init=False, repr=False)
    """The only header that a token of this issuer can have, encoded."""

    def __post_init__(self) -> None:
        """Note the header as the library writes it."""
        object.__setattr__(self, "_header", self._sign({}).partition(".")[0])

    def mint(self, session: Session, role: str) -> str:
        """Sign the access token of a session; its instants are whole seconds."""
        issued_at, expires_at = int(session.issued_at.timestamp()), int(session.expires_at.timestamp())
        return self._sign(
            {
                "iss": self.settings.issuer,
                "aud": self.settings.audience,
                "sub": str(session.user_id),
                "jti": str(session.jti),
                "iat": issued_at,
                "nbf": issued_at,
                "exp": expires_at,
                "organization_id": str(session.organization_id),
                "role": role,
            }
        )

    def verify(self, token: str, *, now: datetime) -> VerifiedToken:
        """Check a token that this issuer is said to have made. Raises InvalidToken, without saying why.

        The header must be the one that `mint` writes, byte for byte: another algorithm, key, type or header
        member, or one of them twice, is refused before anything is parsed (SECURITY J-01, J-03, J-04).
        """
        if len(token) > TOKEN_CHARS_MAX or _COMPACT.fullmatch(token) is None:
            raise InvalidToken
        if token.partition(".")[0] != self._header:
            raise InvalidToken
        claims = self._claims(token)
        if not _instant(claims["nbf"]) <= now.timestamp() < _instant(claims["exp"]):
            raise InvalidToken
        return VerifiedToken(
            jti=_uuid(claims["jti"]),
            user_id=_uuid(claims["sub"]),
            organization_id=_uuid(claims["organization_id"]),
        )

    def _sign(self, claims: dict[str, object]) -> str:
        return jwt.encode(claims, self.key.private, algorithm=ALGORITHM, headers={"kid": self.key.kid})

    def _claims(self, token: str) -> dict[str, object]:
        try:
            # The clock is the caller's, so `verify` compares the instants and the library does not.
            return jwt.decode(
                token,
                self.key.public,
                algorithms=[ALGORITHM],
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


def _uuid(value: object) -> UUID:
    if not isinstance(value, str):
        raise InvalidToken
    try:
        return UUID(value)
    except ValueError:
        raise InvalidToken from None
