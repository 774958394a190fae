"""What the issuer answers, as JSON. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from shapegate_harness.issuer.account import Organization, User
    from shapegate_harness.issuer.errors import Refused

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Tokens for one organization, and what they are good for."""

    access_token: str = field(repr=False)
    expires_in: int
    """Seconds from now."""
    refresh_token: str = field(repr=False)
    issuer: str
    user: User
    organization: Organization
    organizations: tuple[Organization, ...]
    token_type: str = "Bearer"  # noqa: S105  # a scheme, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPart:
    """The session of an access token."""

    jti: UUID
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks, for which organization, and where else they could go."""

    user: User
    organization: Organization
    organizations: tuple[Organization, ...]
    session: SessionPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request is not granted."""

    message: str
    code: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The public keys that verify this issuer's tokens (RFC 7517 5)."""

    keys: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The process lives and says what it is."""

    status: str = "active"
    use: str = "development"


Answer = Granted | Me | Problem | KeySet | Health


def print_answer(answer: Answer) -> bytes:
    """Print an answer as JSON in UTF-8: ids as text, instants as RFC 3339 in UTC."""
    return _ENCODER.encode(answer)


def problem(refused: Refused) -> Problem:
    """Say why a request was refused."""
    return Problem(message=refused.detail, code=refused.code, hint=refused.hint)


def problem_headers(refused: Refused) -> Mapping[str, str]:
    """Headers that go with a refusal: the challenge (RFC 6750 3) and when to come back."""
    headers: dict[str, str] = {}
    if refused.challenge is not None:
        headers["WWW-Authenticate"] = f"Bearer {refused.challenge}".rstrip()
    if refused.retry_after_seconds is not None:
        headers["Retry-After"] = str(refused.retry_after_seconds)
    return headers
