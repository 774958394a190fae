"""From a bearer token to a Principal: the only place where one is made.

The checks that PyJWT does not make come first: size, form, duplicate keys, header keys, number types
(SECURITY J-01 to J-07, I-15).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import jwt

from shapegate_proxy.errors import InvalidToken, MalformedAuthorization, MissingToken, NoOrganization
from shapegate_proxy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shapegate_proxy.config import IssuerConfig
    from shapegate_proxy.keys import KeySource

TOKEN_CHARS_MAX: Final = 8_192
CLAIM_DEPTH_MAX: Final = 16
USER_CHARS_MAX: Final = 256
INSTANT_MAX: Final = 253_370_764_800
"""The year 9999 in seconds: the last that Python's datetime holds."""
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"

_BEARER: Final = re.compile(
    r"Bearer +(?P<token>[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII | re.I
)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_HEADER_KEYS: Final = frozenset({"alg", "kid", "typ"})
_TYPES: Final = frozenset({"jwt", "at+jwt"})


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


class Verifier:
    """Proves who a token speaks for."""

    def __init__(self, config: IssuerConfig, keys: KeySource, *, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock

    async def verify(self, token: str) -> Principal:
        """Verify signature, issuer, audience and times, and read the claims.

        Raises InvalidToken, NoOrganization or KeysUnavailable.
        """
        header, claims = (_segment(part) for part in token.split(".")[:2])
        if not header.keys() <= _HEADER_KEYS or str(header.get("typ", "JWT")).lower() not in _TYPES:
            raise InvalidToken("The token's header has keys or a type that are not accepted")
        kid = header.get("kid")
        key = await self._keys.find(kid if isinstance(kid, str) else None)
        if key is None or header.get("alg") != key.algorithm:
            raise InvalidToken("The token is signed with a key or an algorithm that is not accepted")
        try:
            jwt.decode(
                token,
                key.key,  # type: ignore[arg-type]  # made by PyJWT for exactly this algorithm
                algorithms=[key.algorithm],
                issuer=self._config.issuer,
                audience=self._config.audience,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as exc:
            raise InvalidToken("The token does not verify") from exc
        return self._principal(claims)

    def _principal(self, claims: Mapping[str, object]) -> Principal:
        user = claims.get("sub")
        if not isinstance(user, str) or not 0 < len(user) <= USER_CHARS_MAX or not user.isprintable():
            raise InvalidToken("The token names no user")
        org = claims.get(self._config.org_claim)
        if not isinstance(org, str) or _UUID.fullmatch(org) is None or org == NIL_UUID:
            raise NoOrganization("The token names no organization")
        role, session = claims.get(self._config.role_claim), claims.get("jti")
        return Principal(
            issuer=self._config.issuer,
            user=user,
            org=org.lower(),
            role=role if isinstance(role, str) else None,
            session=session if isinstance(session, str) else None,
            claims={},
            expires_at=self._expiry(claims),
        )

    def _expiry(self, claims: Mapping[str, object]) -> datetime:
        """Check the three times with our own clock; return the end of the token's life, leeway included."""
        now, leeway = self._clock().timestamp(), self._config.leeway_seconds
        expires, begins, issued = (_instant(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None:
            raise InvalidToken("The token has no end")
        if expires + leeway <= now:
            raise InvalidToken("The token is expired")
        if max(begins or 0.0, issued or 0.0) > now + leeway:
            raise InvalidToken("The token is not valid yet")
        return datetime.fromtimestamp(expires + leeway, tz=UTC)


def _instant(claims: Mapping[str, object], name: str) -> float | None:
    """Read a NumericDate (RFC 7519 2): a JSON number, not a text and not a boolean."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= INSTANT_MAX:
        raise InvalidToken(f"The token's {name} is not a number of seconds")
    return float(value)


def _segment(text: str) -> Mapping[str, object]:
    """Decode one JSON segment strictly: no duplicate key, no NaN, bounded depth. Raises InvalidToken."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        loaded: object = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise InvalidToken("The token is not made of strict JSON objects") from exc
    if not isinstance(loaded, dict) or not _shallow(loaded, CLAIM_DEPTH_MAX):
        raise InvalidToken("The token is not made of strict JSON objects")
    return loaded


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")
    return dict(pairs)


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_shallow(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_shallow(item, depth - 1) for item in value)
    return True
