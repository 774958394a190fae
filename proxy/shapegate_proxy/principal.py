"""Who asks: what a verified token says. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller, proven: made by `tokens.Verifier` only (held by tests/architecture)."""

    issuer: str
    user: str
    org: str
    """Id of the organization, a UUID in lower case; the caller sees rows of this one only."""
    role: str | None
    session: str | None
    """The token's `jti`, to be looked up; None if its issuer's sessions are not kept here."""
    claims: Mapping[str, str]
    """Further verified claims that a scope may name as `{claims.x}`, under the configured names."""
    expires_at: datetime
    """Until when the token counts, leeway included; nothing is answered after it."""
