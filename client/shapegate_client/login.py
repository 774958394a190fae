"""A user and the tokens held for them, as values. Pure: no I/O, no clock, no randomness."""

from __future__ import annotations

import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from collections.abc import Mapping  # noqa: TC003  # for the same reason
from dataclasses import dataclass, field, replace

from shapegate_client.principal import AccessToken, Organization, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Tokens for one org."""

    organization_id: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None once the issuer has refused it."""
    renew_at: datetime.datetime
    expires_at: datetime.datetime

    def token(self) -> AccessToken:
        """Return what goes to the proxy."""
        return AccessToken(
            value=self.access_token, organization_id=self.organization_id, expires_at=self.expires_at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user and the tokens held for each org entered so far."""

    issuer: str
    user_id: str
    email: str
    home_organization_id: str
    """The org that the issuer chose at login."""
    organizations: tuple[Organization, ...]
    grants: Mapping[str, Grant] = field(default_factory=dict)

    def principal(self, organization_id: str | None = None) -> Principal:
        """Return the user in one org, by default that of the login. Raises KeyError if it is not listed."""
        by_id = {organization.id: organization for organization in self.organizations}
        return Principal(
            issuer=self.issuer,
            user_id=self.user_id,
            email=self.email,
            organization=by_id[organization_id or self.home_organization_id],
            organizations=self.organizations,
        )

    def with_grant(self, grant: Grant) -> Login:
        """Return the login with the tokens of one org replaced."""
        return replace(self, grants={**self.grants, grant.organization_id: grant})
