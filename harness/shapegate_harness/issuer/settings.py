"""What an issuer is told by whoever starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DAY_SECONDS: Final = 24 * 60 * 60
ACCESS_SECONDS_MAX: Final = DAY_SECONDS
"""A token that outlives a day is no longer a short proof of a session."""
REFRESH_SECONDS_MAX: Final = 366 * DAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """Names, lifetimes and the key of a development issuer."""

    key_file: Path
    """PEM file of the Ed25519 signing key, mode 0600; made at the first start."""
    issuer: str = "urn:shapegate:dev-issuer"
    audience: str = "shapegate"
    access_seconds: int = 900
    refresh_seconds: int = 30 * DAY_SECONDS
    """How long a refresh token may lie unused; each rotation starts anew."""
    database_seconds: float = 5.0
    """Bound on each wait for the database: connecting, a free connection, a statement."""

    def __post_init__(self) -> None:
        """Refuse what would make tokens useless or eternal. Raises ValueError naming every problem."""
        problems = [
            text
            for text, wrong in (
                ("issuer is empty", not self.issuer),
                ("audience is empty", not self.audience),
                (
                    f"access_seconds is {self.access_seconds!r}: expected 1 to {ACCESS_SECONDS_MAX}",
                    not 1 <= self.access_seconds <= ACCESS_SECONDS_MAX,
                ),
                (
                    f"refresh_seconds is {self.refresh_seconds!r}: expected access_seconds "
                    f"to {REFRESH_SECONDS_MAX}",
                    not self.access_seconds <= self.refresh_seconds <= REFRESH_SECONDS_MAX,
                ),
                (
                    f"database_seconds is {self.database_seconds!r}: expected more than 0, at most 60",
                    not 0 < self.database_seconds <= 60,
                ),
            )
            if wrong
        ]
        if problems:
            raise ValueError("; ".join(problems))
