"""What the body of a token says, by its issuer's configuration. Pure: no I/O, no clock.

The signature is checked elsewhere; here is which values are accepted (SECURITY J-05, J-07).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shapegate_proxy.errors import ExpiredToken, InvalidToken, NoOrganization
from shapegate_wire.strict_json import Number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.claim_path import ClaimPath
    from shapegate_proxy.config import IssuerConfig

TEXT_CHARS_MAX: Final = 256
INSTANT_MAX: Final = 253_370_764_800
"""The year 9999 in seconds: the last that Python's datetime holds."""
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """When a token counts, leeway included, in seconds since 1970."""

    begins: float
    ends: float

    @property
    def expires_at(self) -> datetime:
        """The end as an instant."""
        return datetime.fromtimestamp(self.ends, tz=UTC)

    def check(self, now: float) -> None:
        """Return if the token counts at an instant, in seconds since 1970. Raises ExpiredToken."""
        if self.ends <= now:
            raise ExpiredToken("The token is expired")
        if self.begins > now:
            raise ExpiredToken("The token is not valid yet")


def read_lifetime(claims: Mapping[str, object], config: IssuerConfig) -> Lifetime:
    """Read `exp`, `nbf` and `iat`. Raises InvalidToken, also if `exp` lies too long after `iat`."""
    expires, begins, issued = (_instant(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None:
        raise InvalidToken("The token has no end")
    if config.lifetime_seconds_max is not None:
        if issued is None:
            raise InvalidToken("The token does not say when it was issued")
        if expires - issued > config.lifetime_seconds_max:
            raise InvalidToken("The token lives longer than is accepted")
    leeway = config.leeway_seconds
    return Lifetime(begins=max(begins or 0.0, issued or 0.0) - leeway, ends=expires + leeway)


def read_user(claims: Mapping[str, object], config: IssuerConfig) -> str:
    """Read who asks, without the issuer's prefix. Raises InvalidToken if there is none or another."""
    text = _text(claims, config.user_claim)
    if text is None or not text.startswith(config.subject_prefix) or text == config.subject_prefix:
        raise InvalidToken("The token names no user")
    return text.removeprefix(config.subject_prefix)


def read_org(claims: Mapping[str, object], config: IssuerConfig) -> str:
    """Read the one organization, a UUID, in lower case. Raises NoOrganization."""
    found = _at(claims, config.org_claim)
    if not isinstance(found, str) or _UUID.fullmatch(found) is None or found == NIL_UUID:
        raise NoOrganization("The token names no organization")
    return found.lower()


def read_role(claims: Mapping[str, object], config: IssuerConfig) -> str | None:
    """Read the role; None if there is none that is a text, which gives no right that asks for a role."""
    return _text(claims, config.role_claim)


def read_further(claims: Mapping[str, object], config: IssuerConfig) -> Mapping[str, str]:
    """Read what scopes may name; what is no text is left out, so that a scope with it refuses."""
    found = {name: _text(claims, path) for name, path in config.claims.items()}
    return {name: text for name, text in found.items() if text is not None}


def read_session(claims: Mapping[str, object]) -> str:
    """Read `jti`, by which the session is looked up. Raises InvalidToken if there is none."""
    found = _text(claims, ("jti",))
    if found is None:
        raise InvalidToken("The token names no session")
    return found


def _at(claims: Mapping[str, object], path: ClaimPath) -> object:
    """Follow the path; None where it leads nowhere."""
    found: object = claims
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _text(claims: Mapping[str, object], path: ClaimPath) -> str | None:
    """Read a text of printable characters, not empty and not long; None for anything else."""
    found = _at(claims, path)
    if isinstance(found, str) and 0 < len(found) <= TEXT_CHARS_MAX and found.isprintable():
        return found
    return None


def _instant(claims: Mapping[str, object], name: str) -> float | None:
    """Read a NumericDate (RFC 7519 2): a JSON number, not a text and not a boolean."""
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, Number) or not 0 <= float(value.text) <= INSTANT_MAX:
        raise InvalidToken(f"The token's {name} is not a number of seconds")
    return float(value.text)
