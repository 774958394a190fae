"""Requests under way, so that a revocation ends those of its session, and a stop gives held ones back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_proxy.errors import GateStopping, InvalidToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from shapegate_proxy.errors import Refused


@dataclass(eq=False, slots=True)
class Hold:
    """One request under way; `refusal` says why it is over when its time is up."""

    session: str | None
    """The session of its token, by `jti`."""
    timeout: asyncio.Timeout
    refusal: Callable[[], Refused]
    live: bool = False
    """Whether it is held by Electric until there is news; `mark_live` says so."""

    def end(self, refusal: Callable[[], Refused]) -> None:
        """Let it time out now; does nothing if that is under way."""
        if not self.timeout.expired():
            self.refusal = refusal
            self.timeout.reschedule(asyncio.get_running_loop().time())


class HeldRequests:
    """Every request under way at one gate."""

    def __init__(self) -> None:
        self._holds: set[Hold] = set()
        self._draining = False

    @asynccontextmanager
    async def hold(self, *, session: str | None, seconds: float) -> AsyncIterator[Hold]:
        """Count a request as under way for at most `seconds`, the life of its token.

        Raises InvalidToken when that is over, or whatever ended the request before.
        """
        timeout = asyncio.timeout(seconds)
        hold = Hold(session=session, timeout=timeout, refusal=_expired)
        try:
            async with timeout:
                self._holds.add(hold)
                try:
                    yield hold
                finally:
                    self._holds.discard(hold)
        except TimeoutError as exc:
            if not timeout.expired():
                raise
            raise hold.refusal() from exc

    def mark_live(self, hold: Hold) -> None:
        """Say that Electric will hold the request; a gate that stops gives it back."""
        hold.live = True
        if self._draining:
            hold.end(GateStopping)

    @property
    def sessions(self) -> frozenset[str]:
        """The sessions that have requests under way."""
        return frozenset(hold.session for hold in self._holds if hold.session is not None)

    def end_sessions(self, sessions: Collection[str], refusal: Callable[[], Refused]) -> None:
        """End every request of these sessions; nothing more of them is written."""
        for hold in self._holds:
            if hold.session in sessions:
                hold.end(refusal)

    def begin_drain(self) -> None:
        """Give every live request back, also those that still come. Idempotent."""
        self._draining = True
        for hold in self._holds:
            if hold.live:
                hold.end(GateStopping)


def _expired() -> Refused:
    return InvalidToken("The token expired while the request waited")
