"""Who syncs, in which org, and the port through which a session gets its tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import datetime

ORGANIZATION_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
"""An org's id stands in the path of every request, as one segment of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An org as the issuer names it."""

    id: str
    slug: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user of an issuer, in one org."""

    issuer: str
    """The issuer's own name, the `iss` of its tokens."""
    user_id: str
    email: str
    organization: Organization
    organizations: tuple[Organization, ...]
    """Every org that the user may enter, as last heard from the issuer; rows of others are removed."""

    def in_organization(self, organization: Organization) -> Principal:
        """Return the same user in another org."""
        return replace(self, organization=organization)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A bearer token for one org."""

    value: str = field(repr=False)
    organization_id: str
    expires_at: datetime.datetime


class Credentials(Protocol):
    """Where a session gets principal and tokens; every method may be called from several tasks at once."""

    async def principal(self) -> Principal:
        """Say who is logged in, in the org chosen at login; needs no network. Raises NotLoggedIn."""
        ...

    async def token(self, organization_id: str, *, rejected: AccessToken | None = None) -> AccessToken:
        """Return a living token for an org entered before; never `rejected`, which the proxy refused.

        Raises Unreachable if one is needed and the issuer does not answer, LoginRequired if the issuer
        refuses: only its 401 and 403 end a login. Raises MembershipEnded only if the issuer says that the
        user is no member of this org any more: then its rows are removed (REQUIREMENTS T-09).
        """
        ...

    async def switch(self, organization_id: str) -> Principal:
        """Make sure that there is a living token for this org, and return the user in it.

        Tokens of other orgs are kept. Raises NotAMember, MembershipEnded, Unreachable or LoginRequired.
        """
        ...

    async def logout(self) -> None:
        """Revoke the login where the issuer can be reached, and forget every token in any case."""
        ...
