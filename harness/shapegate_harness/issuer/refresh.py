"""Refresh tokens: 256 random bits, known to the database by their hash only, good for one use.

A token that was used before the request arrived is taken for stolen (RFC 9700 4.14.2): its family ends. One
that was used while the request was under way lost a race, as two tabs of one browser run it: it is refused
and gets nothing, and the winner keeps what it got. Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from shapegate_harness.issuer.account import User


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A refresh token as the database has it, its row locked."""

    family_id: UUID
    user: User
    organization_id: UUID
    expires_at: datetime
    used_at: datetime | None
    family_revoked: bool


class Verdict(enum.Enum):
    """What a presented refresh token is worth."""

    USABLE = "usable"
    UNUSABLE = "unusable"
    REUSED = "reused"
    """Used before: whoever presents it, or whoever used it, is a thief."""


def token_hash(refresh_token: str) -> bytes:
    """Name a refresh token by what the database may know of it."""
    return hashlib.sha256(refresh_token.encode()).digest()


def judge(token: RefreshToken, *, arrived_at: datetime, now: datetime) -> Verdict:
    """Decide about a token presented at `arrived_at`, with its row locked at `now`."""
    if token.used_at is not None:
        return Verdict.REUSED if token.used_at <= arrived_at else Verdict.UNUSABLE
    if token.family_revoked or token.expires_at <= now:
        return Verdict.UNUSABLE
    return Verdict.USABLE
