"""A token's own words, read strictly before any of them is believed. Pure: no I/O, no clock.

Here are the checks of form that PyJWT does not make: header keys, repeated names, depth
(SECURITY J-03, J-04).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shapegate_proxy.errors import InvalidToken
from shapegate_wire.errors import WireError
from shapegate_wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

CLAIM_DEPTH_MAX: Final = 16

_HEADER_KEYS: Final = frozenset({"alg", "kid", "typ"})
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""RFC 7519 5.1; RFC 9068 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """What a token claims; nothing of it is proven."""

    algorithm: str
    kid: str | None
    issuer: str
    claims: Mapping[str, object] = field(repr=False)
    """As `strict_json` reads them: numbers are Numbers."""


def parse_token(token: str) -> UnverifiedToken:
    """Read header and body of three segments. Raises InvalidToken."""
    head, body = token.split(".")[:2]
    header, claims = _object(head), _object(body)
    if not header.keys() <= _HEADER_KEYS or str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise InvalidToken("The token's header has keys or a type that are not accepted")
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(issuer, str):
        raise InvalidToken("The token does not say by text who signed it and how")
    return UnverifiedToken(algorithm=algorithm, kid=kid, issuer=issuer, claims=claims)


def _object(segment: str) -> Mapping[str, object]:
    """Read one segment as an object with each name once and bounded depth. Raises InvalidToken."""
    loaded = _decoded(segment)
    if loaded is None or not _shallow(loaded, CLAIM_DEPTH_MAX):
        raise InvalidToken("The token is not made of strict JSON objects")
    return loaded


def _decoded(segment: str) -> Mapping[str, object] | None:
    """Undo base64, UTF-8 and JSON; None where that fails, since the cause would hold the token (J-16)."""
    try:
        raw = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
        return parse_object(raw.decode("utf-8"))
    except (WireError, ValueError):
        return None


def _shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_shallow(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_shallow(item, depth - 1) for item in value)
    return True
