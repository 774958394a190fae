"""What an issuer is told by whoever starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_proxy.keys import UnfitKeyError, bind_secret

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_proxy.config import Secret

DAY_SECONDS: Final = 24 * 60 * 60
ACCESS_SECONDS_MAX: Final = DAY_SECONDS
"""A token that outlives a day is no longer a short proof of a session."""
REFRESH_SECONDS_MAX: Final = 366 * DAY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """Names, lifetimes, bounds and the key of a development issuer: one of `key_file` and `secret`."""

    key_file: Path | None = None
    """PEM file of the Ed25519 signing keys, mode 0600; made at the first start."""
    secret: Secret | None = None
    """For HS256, at least 32 bytes; who verifies tokens has it too, and could make them."""
    subject_prefix: str = ""
    """What each user's name begins with in tokens, `user?id=` for one."""
    issuer: str = "urn:shapegate:dev-issuer"
    audience: str = "shapegate"
    access_seconds: int = 900
    refresh_seconds: int = 30 * DAY_SECONDS
    """How long a refresh token may lie unused; each rotation starts anew."""
    database_seconds: float = 5.0
    """Bound on each wait for the database: connecting, a free connection, a statement."""
    failures_per_minute_user: int = 10
    """Wrong passwords for one e-mail address, whether a user has it or not, from one address."""
    failures_per_minute_address: int = 120
    """Wrong passwords and refresh tokens from one address."""
    refreshes_per_minute_user: int = 60
    """Refreshes of one user: far more than it takes, so that a loop is noticed."""

    def __post_init__(self) -> None:
        """Refuse what would make tokens useless or eternal. Raises ValueError naming every problem."""
        limits = (
            self.failures_per_minute_user,
            self.failures_per_minute_address,
            self.refreshes_per_minute_user,
        )
        problems = [
            text
            for text, wrong in (
                (
                    "expected either key_file or secret: exactly one of them signs",
                    (self.key_file is None) == (self.secret is None),
                ),
                *_secret_problems(self.secret),
                ("subject_prefix has characters that cannot be shown", not self.subject_prefix.isprintable()),
                (f"the bounds per minute are {limits!r}: expected 1 or more", min(limits) < 1),
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


def _secret_problems(secret: Secret | None) -> tuple[tuple[str, bool], ...]:
    try:
        if secret is not None:
            bind_secret(secret)
    except UnfitKeyError as exc:
        return ((f"secret {exc}", True),)
    return ()
