"""How often the issuer lets itself be asked: wrong passwords, wrong refresh tokens, refreshes.

A failure is charged to whom it was about and to where it came from; success costs nothing. What is under way
counts as failed until it is known, so that asking many at once gains nothing. Pure: the clock is given.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shapegate_harness.issuer.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    NotAMember,
    TooManyAttempts,
    WrongPassword,
)
from shapegate_proxy.buckets import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from shapegate_harness.issuer.settings import IssuerSettings

KEYS_MAX: Final = 10_000
_FAILURES: Final = (InvalidCredentials, InvalidRefreshToken, NotAMember, WrongPassword)


class Attempts:
    """Budgets of failures and of refreshes."""

    def __init__(self, settings: IssuerSettings, *, monotonic: Callable[[], float]) -> None:
        def buckets(per_minute: int) -> Buckets[str]:
            return Buckets(per_minute=per_minute, keys_max=KEYS_MAX, monotonic=monotonic)

        self._about = buckets(settings.failures_per_minute_user)
        self._origin = buckets(settings.failures_per_minute_address)
        self._refreshes = buckets(settings.refreshes_per_minute_user)
        self._under_way: Counter[tuple[Buckets[str], str]] = Counter()

    @contextmanager
    def failing(self, *, peer: str, about: str | None = None) -> Iterator[None]:
        """Charge what the block refuses to whom it is about, at `peer`, and to `peer`.

        Raises TooManyAttempts if one of both budgets is used up; the block is not entered then.
        """
        charged = [(self._origin, peer)]
        if about is not None:
            # With the peer, so that nobody can lock a user out from elsewhere.
            charged.append((self._about, f"{peer} {about.casefold()}"))
        self._admit(charged)
        self._under_way.update(charged)
        try:
            yield
        except _FAILURES:
            for buckets, key in charged:
                buckets.charge(key)
            raise
        finally:
            self._under_way.subtract(charged)
            self._under_way += Counter()  # drops what is at zero

    def refresh(self, user_id: UUID) -> None:
        """Charge a refresh to a user. Raises TooManyAttempts."""
        key = str(user_id)
        if not self._refreshes.charge(key):
            raise TooManyAttempts(self._refreshes.seconds_until(key))

    def _admit(self, charged: list[tuple[Buckets[str], str]]) -> None:
        used_up = [
            buckets.seconds_until(key)
            for buckets, key in charged
            if buckets.left(key) - self._under_way[buckets, key] < 1
        ]
        if used_up:
            raise TooManyAttempts(max(used_up))
