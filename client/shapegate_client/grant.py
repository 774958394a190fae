"""The issuer's answer to a login, renewal or switch. Pure: no I/O, no clock, no randomness.

The token is not verified here, that is the proxy's part; its claims are compared with what the issuer says.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_client.errors import IssuerFault
from shapegate_client.login import Grant
from shapegate_client.principal import ORGANIZATION_ID, Organization

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_client.login import Login

LIFE_SECONDS_MAX: Final = 30 * 24 * 3600.0
RENEWED_LEAST: Final = 0.1
"""A token is renewed when that part of its life is left, or up to twice as much: by chance, so that many
clients do not ask at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Tokens for one org, and whom they are for."""

    issuer: str
    user_id: str
    email: str
    organization: Organization
    organizations: tuple[Organization, ...] | None
    """Every org that the user may enter; None if the issuer does not say."""
    grant: Grant

    def joined(self, login: Login) -> Login:
        """Return the login with these tokens and the orgs that the issuer lists, or else this one too."""
        known = tuple(each for each in login.organizations if each.id != self.organization.id)
        organizations = self.organizations or (*known, self.organization)
        listed = replace(login, organizations=organizations, email=self.email)
        if all(each.id != listed.home_organization_id for each in organizations):
            listed = replace(listed, home_organization_id=self.organization.id)
        return listed.with_grant(self.grant)


class _User(msgspec.Struct):
    id: str
    email: str


class _Answer(msgspec.Struct):
    """The shape of the answer; other fields are ignored."""

    access_token: str
    refresh_token: str
    expires_in: float
    issuer: str
    user: _User
    organization: Organization
    organizations: tuple[Organization, ...] | None = None


class _Claims(msgspec.Struct):
    sub: str
    organization_id: str


def parse_granted(content: Mapping[str, object], *, now: datetime.datetime, jitter: float) -> Granted:
    """Read the answer; `jitter` is in [0, 1). Raises IssuerFault if it is none, or contradicts its token."""
    try:
        answer = msgspec.convert(content, _Answer)
    except msgspec.ValidationError as exc:
        raise IssuerFault(f"the issuer's answer is no grant of tokens ({exc}): check its address") from exc
    organizations = answer.organizations
    if organizations is not None and all(each.id != answer.organization.id for each in organizations):
        organizations = (*organizations, answer.organization)
    claims = _read_claims(answer.access_token)
    if (claims.sub, claims.organization_id) != (answer.user.id, answer.organization.id):
        raise IssuerFault("the issuer's token is for another user or org than its answer says: do not use it")
    if not all(ORGANIZATION_ID.fullmatch(each.id) for each in organizations or (answer.organization,)):
        raise IssuerFault("the issuer names an org by an id that cannot stand in a path: expected a UUID")
    life = datetime.timedelta(seconds=max(0.0, min(answer.expires_in, LIFE_SECONDS_MAX)))
    return Granted(
        issuer=answer.issuer,
        user_id=answer.user.id,
        email=answer.user.email,
        organization=answer.organization,
        organizations=organizations,
        grant=Grant(
            organization_id=answer.organization.id,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            renew_at=now + life * (1.0 - RENEWED_LEAST * (1.0 + jitter)),
            expires_at=now + life,
        ),
    )


def _read_claims(token: str) -> _Claims:
    parts = token.split(".")
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Claims)
    except (IndexError, ValueError, binascii.Error, msgspec.DecodeError) as exc:
        raise IssuerFault(
            "the issuer's token does not parse: expected a JWT with sub and organization_id"
        ) from exc
