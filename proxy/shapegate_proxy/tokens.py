"""From a bearer token to a Principal: the only place where one is made (SECURITY I-15, J-01, J-15)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jwt

from shapegate_proxy.errors import InvalidToken, MalformedAuthorization, MissingToken
from shapegate_proxy.principal import Principal
from shapegate_proxy.proven import ProvenToken, ProvenTokens
from shapegate_proxy.token_body import (
    read_further,
    read_lifetime,
    read_org,
    read_role,
    read_session,
    read_user,
)
from shapegate_proxy.unverified import UnverifiedToken, parse_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shapegate_proxy.config import IssuerConfig
    from shapegate_proxy.keys import KeySource, VerificationKey
    from shapegate_proxy.token_body import Lifetime

TOKEN_CHARS_MAX: Final = 8_192

_BEARER: Final = re.compile(
    r"Bearer +(?P<token>[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII | re.I
)


def bearer_token(values: Sequence[str]) -> str:
    """Take the token from all Authorization headers of a request.

    Raises MissingToken if there is none, MalformedAuthorization if it is not exactly one bearer token.
    """
    if not values:
        raise MissingToken
    if len(values) > 1:
        raise MalformedAuthorization("The request has more than one Authorization header")
    if len(values[0]) > TOKEN_CHARS_MAX:
        raise MalformedAuthorization(f"The Authorization header is longer than {TOKEN_CHARS_MAX} characters")
    matched = _BEARER.fullmatch(values[0].strip(" "))
    if matched is None:
        raise MalformedAuthorization("The Authorization header is not `Bearer <token>` with a signed JWT")
    return matched["token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """One entry of the configuration with the keys that prove its tokens, and no others."""

    config: IssuerConfig
    keys: KeySource
    sessions: bool
    """Whether its sessions are looked up, so that a token has to name one."""


class Verifier:
    """Proves who a token speaks for."""

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        *,
        clock: Callable[[], float],
        proven: ProvenTokens | None = None,
    ) -> None:
        self._issuers = issuers
        self._by_signer = {
            (issuer.config.issuer, algorithm): issuer
            for issuer in issuers
            for algorithm in issuer.config.algorithms
        }
        self._clock = clock
        self._proven = ProvenTokens() if proven is None else proven

    async def verify(self, token: str) -> Principal:
        """Verify signature, issuer, audience and times, and read the claims.

        Raises InvalidToken, NoOrganization or KeysUnavailable.
        """
        return (await self.recall(token) or await self.prove(token)).principal

    async def recall(self, token: str) -> ProvenToken | None:
        """Return what a token proved before, at next to no cost; None if it has to be proven.

        Raises ExpiredToken or KeysUnavailable.
        """
        proven = self._proven.recall(token)
        if proven is None:
            return None
        if not await proven.stands():
            self._proven.forget(token)
            return None
        proven.lifetime.check(self._clock())
        return proven

    async def prove(self, token: str) -> ProvenToken:
        """Verify a token as if it was never seen, and remember what it proved. Raises as `verify`."""
        proven = await self._prove(token)
        self._proven.remember(token, proven)
        return proven

    def claimed_user(self, token: str) -> str | None:
        """Read whose the token claims to be, unproven; None if it is no token of an issuer known here."""
        try:
            unverified = parse_token(token)
            issuer = self._by_signer.get((unverified.issuer, unverified.algorithm))
            return None if issuer is None else read_user(unverified.claims, issuer.config)
        except InvalidToken:
            return None

    @property
    def failures(self) -> int:
        """How often the keys of some issuer could not be fetched up to now."""
        return sum(issuer.keys.failures for issuer in self._issuers)

    def available(self) -> Mapping[str, bool]:
        """Say of each issuer whether its tokens can be verified now."""
        names = dict.fromkeys(issuer.config.issuer for issuer in self._issuers)
        return {
            name: all(issuer.keys.available() for issuer in self._issuers if issuer.config.issuer == name)
            for name in names
        }

    async def _prove(self, token: str) -> ProvenToken:
        """Choose the entry by the token's issuer and algorithm, then trust that entry's key alone."""
        unverified = parse_token(token)
        issuer = self._by_signer.get((unverified.issuer, unverified.algorithm))
        if issuer is None:
            raise InvalidToken("The token's issuer and algorithm are not accepted here")
        key = await issuer.keys.find(unverified.kid)
        if key is None or key.algorithm != unverified.algorithm:
            raise InvalidToken("The token is signed with a key or an algorithm that is not accepted")
        _check_signature(token, key, issuer.config)
        lifetime = read_lifetime(unverified.claims, issuer.config)
        lifetime.check(self._clock())
        return ProvenToken(
            principal=_principal(unverified, issuer, lifetime),
            lifetime=lifetime,
            keys=issuer.keys,
            kid=unverified.kid,
            key=key,
        )


def _check_signature(token: str, key: VerificationKey, config: IssuerConfig) -> None:
    """Check signature, `iss` and `aud`; the times are checked by our own clock."""
    try:
        jwt.decode(
            token,
            key.key,  # type: ignore[arg-type]  # made for exactly this algorithm
            algorithms=[key.algorithm],
            issuer=config.issuer,
            audience=config.audience,
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError) as exc:
        raise InvalidToken("The token does not verify") from exc


def _principal(unverified: UnverifiedToken, issuer: TrustedIssuer, lifetime: Lifetime) -> Principal:
    said, config = unverified.claims, issuer.config
    return Principal(
        issuer=config.issuer,
        user=read_user(said, config),
        org=read_org(said, config),
        role=read_role(said, config),
        session=read_session(said) if issuer.sessions else None,
        claims=read_further(said, config),
        expires_at=lifetime.expires_at,
    )
