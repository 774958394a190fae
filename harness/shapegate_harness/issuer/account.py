"""Users, the organizations that they may act for, and their sessions. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who logged in."""

    id: UUID
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An active organization of which a user is an active member, and as what."""

    id: UUID
    slug: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the database knows of whoever claims an e-mail address."""

    user: User
    home_organization_id: UUID | None
    password_hash: str | None = field(repr=False)
    """None for a user who has no password yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The record behind one access token."""

    jti: UUID
    family_id: UUID
    """Shared by all sessions that one login or one switch led to through refreshes."""
    user_id: UUID
    organization_id: UUID
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session as the database has it now."""

    session: Session
    user: User
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveLogin:
    """A login or a switch that goes on: its newest access token, and how long it can be refreshed."""

    jti: UUID
    organization: str
    """The slug; empty if the organization is gone."""
    issued_at: datetime
    expires_at: datetime
    refresh_until: datetime | None
    """None if no refresh token is left."""


def home_or_first(organizations: Sequence[Organization], home_id: UUID | None) -> Organization:
    """Pick where a login lands: the home organization if it is among them, else the first one."""
    assert organizations, "a login without organizations is refused before it lands anywhere"
    return find(organizations, home_id) or organizations[0]


def find(organizations: Sequence[Organization], organization_id: UUID | None) -> Organization | None:
    """Look one organization up; None if it is not among them."""
    return next((item for item in organizations if item.id == organization_id), None)
